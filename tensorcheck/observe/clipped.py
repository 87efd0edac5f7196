"""Which parameters a call that clips gradients is given."""

from types import CodeType, GeneratorType

from torch import Tensor, nn


def clipped_parameters(parameters: object) -> list[Tensor] | None:
    """What a clipping was given, without using up a generator; None where that can't be told."""
    match parameters:
        case Tensor():
            return [parameters]
        case list() | tuple():
            return [each for each in parameters if isinstance(each, Tensor)]
        case GeneratorType(gi_code=CodeType(co_name="parameters")) if parameters.gi_frame is not None:
            module = parameters.gi_frame.f_locals.get("self")
            return list(nn.Module.parameters(module)) if isinstance(module, nn.Module) else None
        case _:
            return None
