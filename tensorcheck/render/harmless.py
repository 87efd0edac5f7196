"""Text of the user's, made safe to show."""

import unicodedata

_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_JOINERS = "\u200c\u200d"


def harmless(text: str) -> str:
    r"""The text with everything that a terminal or browser would obey and not show, written out.

    That is escape sequences, control characters, line ends, marks that turn the direction of writing, and halves of
    surrogate pairs. The two joiners stay: emoji and several scripts need them.

    >>> print(harmless("\x1b[31mred\x1b[0m"))
    \x1b[31mred\x1b[0m
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_visible, text))


def _visible(character: str) -> str:
    if character in _JOINERS or unicodedata.category(character) not in _INVISIBLE:
        return character
    return character.encode("unicode_escape").decode()
