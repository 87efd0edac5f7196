"""What changed between two signatures of a model, each change once: what only follows from it is counted."""

import re
from collections.abc import Iterator, Mapping

from tensorcheck.testing.signatures import ModuleSignature, Signature

_NUMBER = re.compile(r"(?<![\w*/+-])\d+(?![\w*/])")
"""A size in a text, and no part of a name such as `dim2` or of arithmetic."""


def differences(before: Signature, after: Signature) -> list[str]:
    """One line for each change, by module path, in the order of calls.

    A change of size is told where it was made, at the parameters; outputs and inputs of other modules in which the same
    size changed to the same are counted with it.
    """
    lines = list(_of_inputs(before, after))
    lines += _of_paths(before, after)
    common = [path for path in after.modules if path in before.modules]
    changes = [(path, line) for path in common for line in _of_module(before.modules[path], after.modules[path])]
    return [*lines, *_folded(changes)]


def _of_inputs(before: Signature, after: Signature) -> Iterator[str]:
    for name, was, now in _changed(before.inputs, after.inputs):
        yield f"input `{name}`: {was} -> {now}"


def _of_paths(before: Signature, after: Signature) -> Iterator[str]:
    """Modules that came or went; of a block that did, the block alone."""
    gone = [path for path in before.modules if path not in after.modules]
    new = [path for path in after.modules if path not in before.modules]
    for paths, source, what in ((gone, before, "is gone"), (new, after, "is new")):
        for path in paths:
            if not any(path.startswith(f"{other}.") for other in paths):
                inner = sum(other.startswith(f"{path}.") for other in paths)
                more = f", with {inner} modules in it" if inner else ""
                yield f"`{path}` ({source.modules[path].kind}) {what}{more}"


Change = tuple[str, str, str]
"""What changed, from what, to what."""


def _of_module(before: ModuleSignature, after: ModuleSignature) -> Iterator[Change]:
    if before.kind != after.kind:
        yield "kind", before.kind, after.kind
    yield from _changed(before.parameters, after.parameters)
    yield from _changed(before.outputs, after.outputs)
    if before.calls != after.calls:
        yield "calls", str(before.calls), str(after.calls)
    if before.gradient != after.gradient and before.gradient and after.gradient:
        yield "gradient", before.gradient, after.gradient


def _changed(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Change]:
    for name in {**before, **after}:
        was, now = before.get(name, "missing"), after.get(name, "missing")
        if was != now:
            yield name, was, now


def _folded(changes: list[tuple[str, Change]]) -> list[str]:
    """The changes, those of parameters first told, each that only repeats the sizes of an earlier one counted."""
    first = sorted(changes, key=lambda change: change[1][0].startswith("output"))
    told: list[tuple[str, Change, set[tuple[str, str]]]] = []
    followers: dict[int, set[str]] = {}
    for path, change in first:
        sizes = _sizes(change)
        roots = [index for index, (_, _, known) in enumerate(told) if sizes and sizes <= known]
        if roots:
            followers.setdefault(roots[0], set()).add(path)
        else:
            told.append((path, change, sizes))
    order = {path: place for place, path in enumerate(dict.fromkeys(path for path, _ in changes))}
    lines = [(order[path], index, path, change) for index, (path, change, _) in enumerate(told)]
    return [_line(path, change, followers.get(index, set()) - {path}) for _, index, path, change in sorted(lines)]


def _sizes(change: Change) -> set[tuple[str, str]]:
    """Which sizes became which, where nothing else changed."""
    _, was, now = change
    if _NUMBER.sub("N", was) != _NUMBER.sub("N", now):
        return set()
    pairs = zip(_NUMBER.findall(was), _NUMBER.findall(now), strict=True)
    return {(one, other) for one, other in pairs if one != other}


def _line(path: str, change: Change, followers: set[str]) -> str:
    name, was, now = change
    where = f"`{path}`" if path else "the model"
    count = len(followers)
    more = f", and with it {count} other {'module' if count == 1 else 'modules'}" if count else ""
    return f"{where} {name}: {was} -> {now}{more}"
