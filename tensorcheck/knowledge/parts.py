"""The operands of an operation, in the order in which the user's line spells them, whether or not they are known."""

from dataclasses import dataclass

from tensorcheck.calls import FailedCall, Operand
from tensorcheck.sites import Site


@dataclass(frozen=True, slots=True)
class Part:
    """One operand of an operation.

    >>> Part("self.fc(x)", None, None).shape is None
    True
    """

    spelled: str
    site: Site | None
    operand: Operand | None
    """None of one whose value is gone."""

    @property
    def shape(self) -> tuple[int, ...] | None:
        """Its shape, where it is known."""
        return self.operand.meta.shape if self.operand is not None else None


def parts_of(call: FailedCall) -> list[Part]:
    """All operands of an operation, known or not."""
    known = [Part(operand.spelled, operand.site, operand) for operand in call.operands]
    gone = [Part(site.code, site, None) for site in call.unread]
    return sorted([*known, *gone], key=lambda part: (part.site.line, part.site.column) if part.site else (0, 0))
