"""What to write where a function leaves the finite numbers."""

_SAFE = {
    "log": "torch.log({0}.clamp(min=1e-8)); of a softmax or sigmoid: log_softmax or logsigmoid of the logits",
    "sqrt": "torch.sqrt({0} + 1e-8)",
    "div": "add a small number to what it divides by: `/ ({0} + 1e-8)`",
    "exp": "bound what goes in: `{0}.clamp(max=80).exp()`, or `torch.logsumexp` in place of a log of sums",
    "pow": "({0} + 1e-8) ** exponent",
    "acos": "torch.acos({0}.clamp(-1 + 1e-6, 1 - 1e-6))",
}
_FAMILY = {
    "LogBackward": "log",
    "Log2Backward": "log",
    "Log10Backward": "log",
    "SqrtBackward": "sqrt",
    "RsqrtBackward": "sqrt",
    "DivBackward": "div",
    "ReciprocalBackward": "div",
    "ExpBackward": "exp",
    "PowBackward": "pow",
    "AcosBackward": "acos",
}


def safer(node: str, operand: str = "x") -> str | None:
    """What to write instead, by autograd's name of the function; None where that is not known.

    >>> safer("SqrtBackward0")
    'torch.sqrt(x + 1e-8)'
    """
    family = _FAMILY.get(node.rstrip("0123456789"))
    return _SAFE[family].format(operand) if family is not None else None
