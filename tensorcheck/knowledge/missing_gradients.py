"""Which of several rules a missing gradient belongs to: the graph's end says nothing of its cause."""

from tensorcheck.events.crash import Crashed


def is_without_graph(event: Crashed) -> bool:
    """Whether `backward` or `grad` was called on what no parameter leads to."""
    return "does not require grad" in event.message and "grad_fn" in event.message


def is_without_parameters(event: Crashed) -> bool:
    """Whether an optimizer was given no parameter at all."""
    return "empty parameter list" in event.message


def is_of_inference(event: Crashed) -> bool:
    """Whether what has no graph was made in inference mode."""
    return event.loss is not None and event.loss.is_inference


def all_frozen(event: Crashed) -> bool:
    """Whether no parameter of the models at hand requires a gradient, which an optimizer or `backward` needs."""
    models = event.trainable_models
    is_missing = (is_without_graph(event) and not is_of_inference(event)) or is_without_parameters(event)
    return is_missing and models is not None and bool(models.frozen) and not models.wanted
