"""A model that is being watched: what its probes know of it."""

import weakref
from collections.abc import Iterator

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from tensorcheck.events.forward import ModuleCalled
from tensorcheck.modules import ModuleMeta
from tensorcheck.observe.describe import module_meta
from tensorcheck.sites import Site

_MODE_LAYERS = (nn.modules.dropout._DropoutNd, nn.modules.batchnorm._BatchNorm)  # noqa: SLF001 - the bases of them all


class Subject:
    """One watched model; holds it weakly, so that watching keeps nothing alive."""

    def __init__(self, model: nn.Module) -> None:
        self.model = weakref.ref(model)
        self.kind = type(model).__name__
        self.step = 0
        self.traced = 0
        """How many steps were traced at least in part; what is evaluated between two belongs to the later."""
        self.is_training = model.training
        """Its mode when it was last called with gradients on."""
        self.last_mode: bool | None = None
        self.output_required_grad: bool | None = None
        self.calls: list[ModuleCalled] = []
        """What its modules did in its last traced call, in the order in which they returned."""
        self.entered: list[int] = []
        """Which of them each was, in the order in which they were called."""
        self.whole: ModuleCalled | None = None
        """What the model itself did in that call."""
        self.is_call_traced = False
        """Whether its last call in this step was that one."""
        self.reached: frozenset[str] = frozenset()
        """The parameters that had a gradient when an optimizer last stepped in a traced step."""
        self.zeroed: Site | None = None
        """Where gradients of its parameters were first zeroed."""
        self.trained_on: weakref.ref[Tensor] | None = None
        """The input that it was last called with to be trained."""
        self.set_to_train_at = -1
        """How many steps it had taken when `train` was last called on it."""
        self.was_thawed = False
        """Whether a part of it was unfrozen since its parameters were last compared with an optimizer's."""
        self.thaws = 0
        """How often that was told; some freeze and unfreeze in each step."""
        self._parameters: dict[int, tuple[weakref.ref[Tensor], str]] = {}
        self._buffers: dict[int, tuple[weakref.ref[Tensor], str]] = {}
        self._paths: dict[int, tuple[weakref.ref[nn.Module], str]] = {}
        kinds = (type(module).__name__ for module in model.modules() if isinstance(module, _MODE_LAYERS))
        self.mode_layers = tuple(dict.fromkeys(kinds))
        """The classes of its layers that act differently in training and in evaluation."""
        self._metas: dict[int, tuple[weakref.ref[nn.Module], object, ModuleMeta]] = {}
        self.read_names()

    def read_names(self) -> None:
        """Learn the dotted paths of parameters and modules as they are now."""
        model = self.model()
        if model is None:
            return
        parameters = model.named_parameters(remove_duplicate=True)
        self._parameters = {id(tensor): (weakref.ref(tensor), name) for name, tensor in parameters}
        self._buffers = {id(tensor): (weakref.ref(tensor), name) for name, tensor in model.named_buffers()}
        self._paths = {id(module): (weakref.ref(module), path) for path, module in model.named_modules()}

    def name_of(self, parameter: Tensor) -> str | None:
        """The dotted path of one of its parameters; ids are reused at once, so the reference decides."""
        known, name = self._parameters.get(id(parameter), (None, None))
        return name if known is not None and known() is parameter else None

    def buffer_name_of(self, tensor: Tensor) -> str | None:
        """The dotted path of one of its buffers."""
        known, name = self._buffers.get(id(tensor), (None, None))
        return name if known is not None and known() is tensor else None

    def path_of(self, module: nn.Module) -> str | None:
        """The dotted path of one of its modules."""
        known, path = self._paths.get(id(module), (None, None))
        return path if known is not None and known() is module else None

    def parameters(self) -> Iterator[tuple[str, Tensor]]:
        """Its parameters with their dotted paths, each once."""
        model = self.model()
        return iter(()) if model is None else model.named_parameters(remove_duplicate=True)

    def trainable(self) -> int:
        """How many of its parameters require a gradient."""
        return sum(tensor.requires_grad for _, tensor in self.parameters())

    def meta_of(self, module: nn.Module) -> ModuleMeta:
        """A module of it as plain facts, looked at anew where its mode or its parameters are others than before."""
        look = (module.training, *[_look(tensor) for tensor in module._parameters.values()])  # noqa: SLF001 - its own
        known = self._metas.get(id(module))
        if known is None or known[0]() is not module or known[1] != look:
            meta = module_meta(module, self.path_of(module) or "")
            known = self._metas[id(module)] = (weakref.ref(module), look, meta)
        return known[2]


def _look(tensor: Tensor | None) -> object:
    """What may change of a parameter without another one in its place."""
    if tensor is None or is_lazy(tensor):
        return None
    return (tensor.shape, tensor.dtype, tensor.device, tensor.requires_grad)
