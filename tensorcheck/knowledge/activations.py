"""What the losses of `torch.nn.functional` want to be given, and what has an activation too many or too few."""

import ast
from collections.abc import Iterator

from tensorcheck.events.backward import Fed, LossComputed
from tensorcheck.findings import Related
from tensorcheck.sites import Site
from tensorcheck.wording import each_line_once

LOGIT_LOSSES = {
    "cross_entropy": "log_softmax",
    "binary_cross_entropy_with_logits": "sigmoid",
    "multilabel_soft_margin_loss": "sigmoid",
}
"""The losses that take logits, and the activation that each has inside."""
CLASSIFYING = frozenset({*LOGIT_LOSSES})
LAYERS = frozenset({"linear", "conv"})
_NAMES = {"softmax": "Softmax", "log_softmax": "LogSoftmax", "sigmoid": "Sigmoid", "relu": "ReLU"}


def activation_site(fed: Fed) -> Site | None:
    """Where an activation was written: the layer where it was built, or the line that calls the function.

    >>> activation_site(Fed("softmax")) is None
    True
    """
    return fed.built or (fed.site if fed.kind not in _NAMES.values() else None)


def places(event: LossComputed) -> tuple[Site | None, tuple[Related, ...]]:
    """The place of the mistake, which is the activation's if that is known, and the one where it shows."""
    made = activation_site(event.fed) if event.fed is not None else None
    if made is None:
        return event.site, ()
    shows = [Related(event.site, f"`{event.function}` is computed of it here")] if event.site is not None else []
    return made, each_line_once(shows, made)


def titled_activation(fed: Fed) -> str:
    """How its user calls it: `` `head.2` (Softmax)`` or `` `softmax` ``.

    >>> titled_activation(Fed("softmax"))
    '`softmax`'
    """
    is_layer = bool(fed.module) and fed.kind in _NAMES.values()
    return f"`{fed.module}` ({fed.kind})" if is_layer else f"`{fed.by}`"


def without_activation(fed: Fed) -> str:
    """What to write in the activation's place; empty where its line does not show that.

    >>> without_activation(Fed("softmax", site=Site("a.py", 1, code="torch.softmax(self.head(x), dim=1)")))
    'self.head(x)'
    """
    site = activation_site(fed)
    if site is None:
        return ""
    if fed.built is not None:
        return "nn.Identity()"
    return next(_argument(site.code, fed.by), "")


def _argument(code: str, function: str) -> Iterator[str]:
    try:
        node = ast.parse(code, mode="eval").body
    except SyntaxError:
        return
    match node:
        case ast.Call(func=ast.Attribute(value=ast.Name(id="torch" | "F" | "functional")), args=[given, *_]):
            yield ast.unparse(given)
        case ast.Call(func=ast.Attribute(value=ast.Attribute(attr="functional" | "nn")), args=[given, *_]):
            yield ast.unparse(given)
        case ast.Call(func=ast.Name(), args=[given, *_]):
            yield ast.unparse(given)
        case ast.Call(func=ast.Attribute(value=given, attr=attr)) if attr == function:
            yield ast.unparse(given)
        case _:
            return
