"""What a command line names as `module:name`."""

import importlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click


def named(option: str, reference: str) -> Callable[..., Any]:
    """What `module:name` names, with the working directory among the places where modules are looked for."""
    module, _, name = reference.partition(":")
    if not module or not name:
        msg = f"{option}: {reference!r} is no module:name, such as models:make_model"
        raise click.UsageError(msg)
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        made = inspect.getattr_static(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        msg = f"{option}: {error}"
        raise click.UsageError(msg) from error
    if not callable(made):
        msg = f"{option}: {reference} is {type(made).__name__} and can't be called"
        raise click.UsageError(msg)
    return _without_arguments(option, reference, made)


def _without_arguments(option: str, reference: str, made: Callable[..., Any]) -> Callable[..., Any]:
    needed = [
        parameter.name
        for parameter in inspect.signature(made).parameters.values()
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
    if needed and option == "MODULE:MAKE_MODEL":
        msg = f"{reference} needs {', '.join(needed)}; name a function that makes the model and needs nothing"
        raise click.UsageError(msg)
    return made
