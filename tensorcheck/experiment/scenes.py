"""What is run again after a crash: the call of the outermost module, or the one call that failed, outside of any."""

from torch import nn

from tensorcheck.events.crash import Crashed
from tensorcheck.experiment.call_scenes import LossScene, OperationScene
from tensorcheck.experiment.model_scene import ModelScene
from tensorcheck.experiment.scene import NoSceneError, Scene
from tensorcheck.observe.frames import Owner
from tensorcheck.observe.stack import stack_of

_UNKNOWN_CALL = "the call that failed is not known"


def scene_of(error: BaseException, crash: Crashed) -> Scene:
    """What to run again; a `NoSceneError` says why there is nothing."""
    call = crash.call
    if call is None or crash.stage in ("backward", "step"):
        raise NoSceneError(_UNKNOWN_CALL)
    frames = stack_of(error.__traceback__)
    last = max((index for index, frame in enumerate(frames) if frame.owner is Owner.USER), default=-1)
    if last < 0:
        raise NoSceneError(_UNKNOWN_CALL)
    first = next((index for index, frame in enumerate(frames) if frame.module is not None), None)
    if first is not None and not _is_loss(frames[first].module):
        return ModelScene(frames, first, last, call)
    if call.kind == "loss":
        return LossScene(frames[last + 1 :], call)
    if call.kind == "operation":
        return OperationScene(frames[last], call)
    raise NoSceneError(_UNKNOWN_CALL)


def _is_loss(module: nn.Module | None) -> bool:
    return type(module).__module__ == "torch.nn.modules.loss"
