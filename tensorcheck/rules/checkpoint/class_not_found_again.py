"""TCK809."""

import re
from collections.abc import Iterator
from dataclasses import replace

from tensorcheck.events.checkpoint import SavedByName
from tensorcheck.events.crash import Crashed
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.rule import Rule
from tensorcheck.wording import each_line_once, first_that_fits, label_for, short

_UNNAMED = re.compile(
    r"Can't (?:pickle|get) local object '?(?P<local>[^']+)'?|Can't pickle <(?P<what>.+)>: (?P<why>.+)"
)
_GONE = re.compile(
    r"Can't get attribute '(?P<name>[^']+)' on <module '(?P<module>[^']+)'|No module named '(?P<missing>[^']+)'"
)


class ClassNotFoundAgain(Rule[SavedByName | Crashed]):
    """A whole model is saved, of which a file holds the name of its class, and nobody finds that again.

    ## What it does
    Finds a `torch.save` of a model, or of a checkpoint with one in it, whose class or function is defined in the
    running script, in a function, or is a lambda, and a `torch.load` that does not find such a class.

    ## Why it matters
    Pickle stores no code. A class of the script is saved as `__main__.Net`, which is another module in the program that
    loads the file: months of training can be read by the script alone that saved them. A class inside a function and
    a lambda have no such name at all, and saving them raises at the end of the training.

    ## Example
    ```python
    import io

    class Scaled(nn.Module):
        def __init__(self, by):
            super().__init__()
            self.head = nn.Linear(4, 2)
            self.by = by

    model = Scaled(lambda logits: logits / 2)
    with tensorcheck.watch(model) as watch:
        torch.save(model, io.BytesIO())
    ```

    ## Use instead
    ```python
    import io

    class Scaled(nn.Module):
        def __init__(self, by):
            super().__init__()
            self.head = nn.Linear(4, 2)
            self.by = by

    model = Scaled(lambda logits: logits / 2)
    with tensorcheck.watch(model) as watch:
        torch.save(model.state_dict(), io.BytesIO())
    ```

    ## Limits
    Silent where the script calls `torch.load(..., weights_only=False)` as well, for it finds its own classes, in a
    notebook, and where the object is saved to memory.
    """

    code = "TCK809"
    name = "class-not-found-again"
    severity = Severity.WARNING
    since = "0.1.0"

    def check(self, event: SavedByName | Crashed) -> Iterator[Finding]:
        """Say what the file knows by its name, and what that name is."""
        if isinstance(event, SavedByName):
            yield self._saved(event)
        elif "save" in event.functions and (found := _UNNAMED.match(event.message)) is not None:
            yield replace(self._unsaved(event, found), severity=Severity.ERROR)
        elif "find_class" in event.functions and (found := _GONE.match(event.message)) is not None:
            yield replace(self._lost(event, found), severity=Severity.ERROR)

    def _saved(self, event: SavedByName) -> Finding:
        what = "class" if event.is_class else "function"
        name = short(event.name)
        defined = (Related(event.defined, f"the {what} is defined here"),) if event.defined is not None else ()
        inside = f"    in `{event.part}`" if event.part else ""
        return self.finding(
            first_that_fits(
                f"`{name}` is saved by its name, `__main__.{name}`, which only this script has",
                f"`{name}` is saved by a name that only this script has",
            ),
            label=f"the file holds the name of `{name}` alone",
            expected="a state_dict, or a class that a module defines",
            got=f"a {what} of the running script{inside}",
            site=event.site,
            related=each_line_once(defined, event.site),
            notes=("another program that loads the file looks for it in its own `__main__`, and raises",),
            help=f"save {event.spelled}.state_dict()" if event.spelled and event.is_module else "",
        )

    def _unsaved(self, event: Crashed, found: re.Match[str]) -> Finding:
        name = found["local"] or found["what"]
        is_lambda = "<lambda>" in name
        last = name.rpartition(".")[2].partition(" at ")[0].strip("'>")
        what = "a lambda" if is_lambda else f"`{short(last)}`"
        why = "is defined inside a function" if found["local"] and not is_lambda else "has no name to be found by again"
        return self.finding(
            headline := f"{what[0].upper() + what[1:]} can't be saved: it {why}",
            label=label_for(headline, "pickled by its name", "by its name"),
            expected="a state_dict, or a class or function that a module defines",
            got=f"{name}    {found['why'] or 'inside a function'}",
            site=event.site,
            notes=("a file holds no code: of a whole model it has the names of its classes and functions",),
        )

    def _lost(self, event: Crashed, found: re.Match[str]) -> Finding:
        module = found["module"] or found["missing"]
        name = found["name"] or "a class"
        where = "the script that runs" if module == "__main__" else f"`{short(module)}`"
        return self.finding(
            first_that_fits(
                f"The file holds a `{short(name)}` of {where}, which does not define it"
                if found["name"]
                else f"The file holds an object of the module `{short(module)}`, which is not here",
                "The file holds an object whose class is not found",
            ),
            label="its class is not found",
            expected=f"`{name}` in {where}" if found["name"] else f"a module `{module}`",
            got="no such class    a whole object was saved, of which the file has the name alone",
            site=event.site,
            notes=("a class of the script that saved it was `__main__` there",) if module == "__main__" else (),
        )
