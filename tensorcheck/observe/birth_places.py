"""The call that built a module, as a place from which its arguments can be followed back to who gave them."""

import ast
import builtins
import sys
from dataclasses import replace
from types import CodeType

from tensorcheck.observe.births import Calls
from tensorcheck.observe.evaluating import Namespace
from tensorcheck.observe.frames import expression_at
from tensorcheck.observe.scopes import Place, Scope, definition_of


def birth_place(calls: Calls) -> Place | None:
    """The innermost of these calls, in a scope that knows who called it; None where its source is not at hand."""
    scope: Scope | None = None
    for code, instruction in reversed(calls):
        scope = _entered(code, instruction, scope)
    standing = scope.standing if scope is not None else None
    return Place(standing, scope) if scope is not None and isinstance(standing, ast.Call) else None


def _entered(code: CodeType, instruction: int, outer: Scope | None) -> Scope | None:
    standing = expression_at(code, instruction)
    if outer is not None and code.co_name.startswith("<") and code.co_name not in ("<module>", "<lambda>"):
        return replace(outer, standing=standing)  # a comprehension, which has a frame of its own in this Python
    body = definition_of(code)
    if body is None:
        return None
    call = outer.standing if outer is not None and isinstance(outer.standing, ast.Call) else None
    names = _names_in(code.co_filename)
    return Scope(code.co_filename, code.co_qualname, body, names, call=call, caller=outer, standing=standing)


def _names_in(filename: str) -> Namespace:
    """What the names of a file's module stand for; its functions' own are gone."""
    modules = [each for each in tuple(sys.modules.values()) if getattr(each, "__file__", None) == filename]
    return {**vars(builtins), **(vars(modules[0]) if modules else {})}
