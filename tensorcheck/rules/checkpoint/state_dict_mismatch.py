"""TCK801."""

from collections.abc import Callable, Iterator, Sequence

from tensorcheck.events.crash import Crashed
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.lineage_wording import written
from tensorcheck.restoring import Restoring, WrongSize
from tensorcheck.rule import Rule
from tensorcheck.wording import counted, first_that_fits, label_for, listed, short


class StateDictMismatch(Rule[Crashed]):
    """A saved state is not of this model, or not of this optimizer.

    ## What it does
    Explains the exceptions of `load_state_dict`: keys that differ by a prefix only, a whole checkpoint where the
    model's part of it belongs, layers of other sizes and the line that defines each, keys that are missing or left
    over; and of an optimizer, groups of other sizes, settings of another class, state of another model.

    ## Why it matters
    PyTorch lists each key that differs, often hundreds. What is the matter is one thing: a wrapper that was saved, a
    number of classes that changed, one level of a dictionary too many.

    ## Example
    ```python
    class Digits(nn.Module):
        def __init__(self, classes):
            super().__init__()
            self.head = nn.Linear(4, classes)

    saved = Digits(10).state_dict()
    model = Digits(3)
    with tensorcheck.watch(model) as watch:
        model.load_state_dict(saved)
    ```

    ## Use instead
    ```python
    class Digits(nn.Module):
        def __init__(self, classes):
            super().__init__()
            self.head = nn.Linear(4, classes)

    saved = Digits(10).state_dict()
    model = Digits(10)
    with tensorcheck.watch(model) as watch:
        model.load_state_dict(saved)
    ```
    """

    code = "TCK801"
    name = "state-dict-mismatch"
    severity = Severity.ERROR
    since = "0.1.0"

    def check(self, event: Crashed) -> Iterator[Finding]:
        """Look for the one thing that explains the most keys."""
        state = event.restoring
        if state is None:
            return
        tell = _of_optimizer(state) if state.is_optimizer else _of_model(state)
        if tell is None:
            return
        headline, expected, got, help_, *notes = tell
        yield self.finding(
            headline,
            label=label_for(headline, got),
            expected=expected,
            got=got,
            site=event.site,
            module=state.sizes[0].layer.path if state.sizes and state.sizes[0].layer is not None else None,
            related=tuple(_related(event, state)),
            notes=tuple(note for note in notes if note),
            help=help_,
        )


_Told = tuple[str, ...]
"""Headline, expected, got, help, and notes."""


def _of_model(state: Restoring) -> _Told | None:
    within = next((entry for entry in state.entries if entry.fits), None)
    if not state.entries and not state.missing:
        return _no_dict(state)
    if within is not None:
        return _one_level_deeper(state, within.key)
    tell = next((tell for is_so, tell in _REASONS if is_so(state)), _other_keys)
    return tell(state)


def _other_values(state: Restoring) -> _Told:
    first = state.not_tensors[0]
    keys = [entry.key for entry in state.not_tensors]
    return (
        f"The state holds a {first.shown} for `{short(first.key)}`",
        "a Tensor",
        f"{first.shown} for {listed(keys)}",
        "",
    )


def _no_dict(state: Restoring) -> _Told:
    text = state.given == "str"
    headline = f"`{short(state.target or state.into)}` is given a {state.given} instead of a state dict"
    loaded = f"{state.target}.load_state_dict(torch.load({state.spelled}))" if text and state.target else ""
    return (
        headline,
        "a dict of tensors, as torch.load gives it",
        f"{state.given} {short(state.spelled)}".rstrip(),
        loaded,
    )


def _one_level_deeper(state: Restoring, key: str) -> _Told:
    name = short(state.spelled) or "the checkpoint"
    keys = [entry.key for entry in state.entries]
    headline = first_that_fits(
        f"`{name}` is a whole checkpoint; the weights of `{state.into}` are in its `{key}`",
        f"`{name}` is a whole checkpoint; the weights are in its `{key}`",
    )
    is_name = bool(state.spelled) and bool(state.target)
    help_ = f'{state.target}.load_state_dict({state.spelled}["{key}"])' if is_name else ""
    shown = ", ".join(str(entry) for entry in state.entries)
    return headline, f"{state.wanted} keys: {listed(state.missing)}", f"{len(keys)} keys: {listed(keys)}", help_, shown


def _prefixed(state: Restoring) -> _Told:
    left = [key for key in state.unexpected if not key.startswith(state.prefix)]
    headline = f"Each saved key has the prefix `{state.prefix}`, which `{state.into}` has not"
    wrapper = _WRAPPERS.get(state.prefix, "")
    source = short(state.spelled, 60) or "state"
    key = f'key.removeprefix("{state.prefix}")'
    kept = f' if key.startswith("{state.prefix}")' if left else ""
    items = f"{{{key}: value for key, value in {state.spelled}.items(){kept}}}"
    help_ = f"{state.target}.load_state_dict({items})" if state.spelled.isidentifier() and state.target else ""
    more = f"left over: {listed(left)}" if left else ""
    return headline, f"{listed(state.missing)}", f"{listed(state.unexpected)}", help_, wrapper or f"in {source}", more


_WRAPPERS = {
    "module.": "a wrapper around the model was saved: DataParallel, DistributedDataParallel or AveragedModel",
    "_orig_mod.": "the model that torch.compile returned was saved",
}


def _without_prefix(state: Restoring) -> _Told:
    headline = f"`{state.into}` has the prefix `{state.own_prefix}` before each key, the state has not"
    inner = state.own_prefix.rstrip(".")
    help_ = f"{state.target}.{inner}.load_state_dict({state.spelled})" if state.target and state.spelled else ""
    return headline, f"{listed(state.missing)}", f"{listed(state.unexpected)}", help_


def _other_sizes(state: Restoring) -> _Told:
    first = state.sizes[0]
    headline = first_that_fits(
        f"`{first.name}` was saved as {_shape(first, 'saved')}, but the model has {_shape(first, 'own')}",
        f"`{short(first.name)}` is {_shape(first, 'saved')} in the file, but {_shape(first, 'own')} here",
    )
    others = [size.name for size in state.sizes[1:]]
    note = f"so {'is' if len(others) == 1 else 'are'} {listed(others)} of other sizes" if others else ""
    keys = [*_key_notes(state)]
    definition = first.layer.definition if first.layer is not None else None
    made = f"    from {definition.code}" if definition is not None else ""
    return headline, f"{first.own.notation}{made}", first.saved.notation, "", note, *keys


def _shape(size: WrongSize, which: str) -> str:
    return str(list((size.saved if which == "saved" else size.own).shape))


def _other_keys(state: Restoring) -> _Told | None:
    if not state.missing and not state.unexpected:
        return None
    if state.missing and state.unexpected:
        headline = f"{counted(len(state.missing), 'key')} of `{state.into}` missing, {len(state.unexpected)} left over"
    elif state.missing:
        headline = f"`{state.into}` wants {counted(len(state.missing), 'key')} that the state has not"
    else:
        headline = f"The state has {counted(len(state.unexpected), 'key')} that `{state.into}` has not"
    expected = f"{listed(state.missing)}" if state.missing else f"{counted(state.wanted, 'key')} of {state.into}"
    return headline, expected, f"{listed(state.unexpected)}" if state.unexpected else "no such key", ""


_REASONS: Sequence[tuple[Callable[[Restoring], object], Callable[[Restoring], _Told | None]]] = (
    (lambda state: state.not_tensors, _other_values),
    (lambda state: state.prefix, _prefixed),
    (lambda state: state.own_prefix, _without_prefix),
    (lambda state: state.sizes, _other_sizes),
)
"""The one thing that may be the matter, before keys are counted."""


def _key_notes(state: Restoring) -> Iterator[str]:
    if state.missing:
        yield f"missing besides: {listed(state.missing)}"
    if state.unexpected:
        yield f"left over besides: {listed(state.unexpected)}"


def _of_optimizer(state: Restoring) -> _Told | None:
    if state.lacks:
        return _of_another_kind(state)
    if state.sizes:
        first = state.sizes[0]
        own, saved = _shape(first, "own"), _shape(first, "saved")
        headline = f"`{state.into}` has state of shape {saved} for a parameter of {own}"
        return (
            headline,
            f"{own}, as the parameter",
            f"{saved} in `{first.name}`",
            "",
            "the state was loaded from another model's",
        )
    if state.saved_groups is None:
        return _no_groups(state)
    return _other_groups(state.into, state.saved_groups.sizes, state.own_groups.sizes if state.own_groups else ())


def _other_groups(into: str, saved: Sequence[int], own: Sequence[int]) -> _Told | None:
    if len(saved) != len(own):
        headline = f"`{into}` has {counted(len(own), 'group')}, but the saved state has {len(saved)}"
    elif saved != own:
        headline = f"`{into}` has {counted(sum(own), 'parameter')}, but the saved state is of {sum(saved)}"
    else:
        return None
    return headline, f"groups of {_sizes(own)} parameters", f"groups of {_sizes(saved)} parameters", ""


def _sizes(sizes: Sequence[int]) -> str:
    return " and ".join(map(str, sizes))


def _of_another_kind(state: Restoring) -> _Told:
    of = f"of `{state.saved_kind}`" if state.saved_kind else "of another optimizer"
    headline = f"`{state.into}` was given the settings {of}, without `{state.lacks[0]}`"
    return headline, f"the settings of {state.into}: {listed(state.lacks)}", f"settings {of}".replace("`", ""), ""


def _no_groups(state: Restoring) -> _Told:
    within = next((entry for entry in state.entries if entry.fits), None)
    name = short(state.spelled) or "what is loaded"
    if within is not None:
        headline = f"`{name}` is a whole checkpoint; the state of `{state.into}` is in its `{within.key}`"
        help_ = f'{state.target}.load_state_dict({state.spelled}["{within.key}"])' if state.target else ""
    else:
        headline, help_ = f"`{name}` is no state of `{state.into}`: it has no `param_groups`", ""
    keys = [entry.key for entry in state.entries]
    return headline, "`state`, `param_groups`", f"{listed(keys)}", help_


def _related(event: Crashed, state: Restoring) -> Iterator[Related]:
    seen = {(event.site.file, event.site.line)} if event.site is not None else set()
    definitions = [size.layer.definition for size in state.sizes if size.layer is not None]
    places = [
        *((site, "the layer is defined here") for site in definitions[:1]),
        (state.built, f"`{short(state.target)}` is built here"),
        (state.loaded, f"`{short(state.spelled)}` is loaded here"),
        (state.saved, "the only torch.save of this file is here"),
    ]
    for site, note in places:
        if site is not None and (site.file, site.line) not in seen:
            seen.add((site.file, site.line))
            yield Related(site, note)
    for place in (place for size in state.sizes[:1] for place in _numbers(size)):
        if (place.site.file, place.site.line) not in seen:
            seen.add((place.site.file, place.site.line))
            yield place


def _numbers(size: WrongSize) -> Iterator[Related]:
    """Where the number was written that the module was built with and that the saved one had not."""
    pairs = zip(size.own.shape, size.saved.shape, strict=False)
    wrong = {own for own, saved in pairs if own != saved}
    settings = size.layer.settings if size.layer is not None else {}
    for name, lineage in size.made.items():
        if settings.get(name) in wrong:
            yield from written(lineage, settings[name])
