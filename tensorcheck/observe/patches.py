"""The one process-wide table of what tensorcheck has patched, counted by reference.

Sessions may start and close in any order, and several may want the same function, so a patch belongs to none of them:
it stands as long as anyone listens. A patched function has one more frame between its caller and itself; two things
make that frame disappear. A traceback loses it as the exception passes (`raise` without arguments keeps a traceback
that was shortened in place), and its file name carries the mark by which `warnings` skips the frames of the import
system, so a `stacklevel` still counts to the user's line.

There are two ways to patch. `patch_attribute` replaces what an attribute of a class or a module holds. `patch_code`
keeps the function object and replaces its code: the functions of `torch.nn.functional` are dispatched on by identity
(`__torch_function__`) and are imported by name, so another object in their place would be noticed or missed.
"""

import functools
import inspect
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from types import ClassMethodDescriptorType, CodeType, FunctionType, ModuleType
from typing import Any

from torch.compiler import is_compiling
from torch.jit._trace import is_tracing

from tensorcheck.observe.own_time import OWN_TIME

FILE_NAME_THAT_WARNINGS_SKIP = "<tensorcheck, as invisible as importlib._bootstrap>"
_PLACE_OF_TARGET = "the function to call, put here by _code_that_calls"


class _Hearing(threading.local):
    """Whether anybody hears of what the running thread does."""

    is_off = False


_HEARING = _Hearing()


@contextmanager
def unheard() -> Iterator[None]:
    """Within, no listener hears of what the running thread does."""
    before, _HEARING.is_off = _HEARING.is_off, True
    try:
        yield
    finally:
        _HEARING.is_off = before


class Listener:
    """What hears of each call of a patched function; it must not change an argument or the result."""

    is_off = False
    """Whether it hears nothing any more. It stays where it is: who is told may be telling."""

    def before(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """The function is about to be called."""

    def returned(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:
        """The function returned."""

    def raised(self, args: tuple[Any, ...], kwargs: dict[str, Any], error: BaseException) -> None:
        """The function raised."""

    def fault(self, error: Exception) -> None:
        """One of the three above raised; what this raises in turn reaches the user."""
        self.is_off = True
        raise error


class _Patch:
    """A patched function: those who listen to it, and how to undo it."""

    def __init__(self, original: Callable[..., Any]) -> None:
        self.original = original
        self.listen(())
        self.wrapper = _wrap(self)
        self.undo: Callable[[], None] = lambda: None

    def listen(self, listeners: Sequence[Listener]) -> None:
        """Tell these from now on, and each only what it wants to hear: a step has a dozen calls, and each costs."""
        self.listeners = tuple(listeners)
        self.before = tuple((one, one.before) for one in listeners if type(one).before is not Listener.before)
        self.returned = tuple((one, one.returned) for one in listeners if type(one).returned is not Listener.returned)
        self.raised = tuple((one, one.raised) for one in listeners if type(one).raised is not Listener.raised)


def _wrap(patch: _Patch) -> FunctionType:
    original, is_compiled, tell, hearing = patch.original, is_compiling, _tell_all, _HEARING

    def wrapper(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the original's own types
        # Under dynamo the first condition is a constant, so that nothing below it is traced or guarded on.
        if is_compiled() or not patch.listeners or hearing.is_off:
            return original(*args, **kwargs)
        returned, raised = patch.returned, patch.raised
        if patch.before:
            tell(patch.before, args, kwargs)
        try:
            result = original(*args, **kwargs)
        except BaseException as error:
            error.__traceback__ = error.__traceback__ and error.__traceback__.tb_next
            if raised:
                tell(raised, args, kwargs, error)
            raise
        if returned:
            tell(returned, args, kwargs, result)
        return result

    # What reads a function to compile it (TorchScript) resolves the names in it among its globals.
    names = getattr(original, "__globals__", wrapper.__globals__)
    code = wrapper.__code__.replace(co_filename=FILE_NAME_THAT_WARNINGS_SKIP)
    twin = FunctionType(code, names, wrapper.__name__, closure=wrapper.__closure__)
    functools.update_wrapper(twin, original)
    return twin


def _tell_all(listeners: Sequence[tuple[Listener, Callable[..., None]]], *details: object) -> None:
    """Tell each; the time that they take is ours."""
    began = OWN_TIME.begin()
    try:
        for listener, what in listeners:
            _tell(listener, what, *details)
    finally:
        OWN_TIME.end(began)


def _tell(listener: Listener, what: Callable[..., None], *details: object) -> None:
    if (
        not listener.is_off and not is_tracing()
    ):  # of a size, `torch.jit.trace` makes a tensor, and warns of what reads it
        try:
            what(*details)
        except RecursionError:  # the user's stack is used up: their own exception says so, and we have no room to
            return
        except Exception as fault:  # noqa: BLE001 - a fault of ours never reaches the user
            listener.fault(fault)


def _trampoline(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the original's own types
    target: Any = "the function to call, put here by _code_that_calls"
    try:
        return target(*args, **kwargs)
    except BaseException as error:
        error.__traceback__ = error.__traceback__ and error.__traceback__.tb_next
        raise


def _code_that_calls(target: Callable[..., Any], *, name: str) -> CodeType:
    code = _trampoline.__code__
    consts = tuple(target if const == _PLACE_OF_TARGET else const for const in code.co_consts)
    return code.replace(co_consts=consts, co_name=name, co_filename=FILE_NAME_THAT_WARNINGS_SKIP)


class PatchTable:
    """Patched functions by where they live, each with its listeners."""

    def __init__(self) -> None:
        self._patches: dict[object, _Patch] = {}
        self._others: dict[object, Callable[[], None]] = {}
        self._lock = threading.RLock()
        self._is_fork_safe = False

    def patch_attribute(self, owner: type | ModuleType, name: str, listener: Listener) -> AbstractContextManager[Any]:
        """Let `listener` hear every call of `owner.name`, until the returned context is closed."""
        return self._listen((owner, name), listener, lambda: _replace_attribute(owner, name))

    def patch_code(self, function: FunctionType, listener: Listener) -> AbstractContextManager[Any]:
        """Let `listener` hear every call of `function`, however it is reached, until the returned context is closed."""
        return self._listen(function, listener, lambda: _replace_code(function))

    def undo_in_forks(self, undo: Callable[[], None]) -> AbstractContextManager[Any]:
        """Call `undo` when the returned context is closed, or in a child of this process, whichever has it first."""
        stack = ExitStack()
        with self._lock:
            self._survive_forks()
            self._others[stack] = undo
        stack.callback(self._undo_other, stack)
        return stack

    def is_empty(self) -> bool:
        """Whether nothing is patched now."""
        return not self._patches and not self._others

    def _listen(self, key: object, listener: Listener, make: Callable[[], _Patch]) -> AbstractContextManager[Any]:
        with self._lock:
            self._survive_forks()
            patch = self._patches.get(key) or self._patches.setdefault(key, make())
            patch.listen((*patch.listeners, listener))
        stack = ExitStack()
        stack.callback(self._unlisten, key, listener)
        return stack

    def _unlisten(self, key: object, listener: Listener) -> None:
        with self._lock:
            patch = self._patches.get(key)
            if patch is None:
                return
            patch.listen([other for other in patch.listeners if other is not listener])
            if not patch.listeners:
                del self._patches[key]
                patch.undo()

    def _undo_other(self, key: object) -> None:
        with self._lock:
            undo = self._others.pop(key, None)
        if undo is not None:
            undo()

    def _survive_forks(self) -> None:
        """A forked child inherits the patches but no session that could report: leave none of ours there."""
        if not self._is_fork_safe:
            os.register_at_fork(after_in_child=self._undo_all)
            self._is_fork_safe = True

    def _undo_all(self) -> None:
        self._lock = threading.RLock()
        patches, self._patches = self._patches, {}
        for patch in patches.values():
            patch.listen(())
            patch.undo()
        for key in tuple(self._others):
            self._undo_other(key)


def _replace_attribute(owner: type | ModuleType, name: str) -> _Patch:
    held = inspect.getattr_static(owner, name)
    of_class = _function_of_class(held)
    patch = _Patch(of_class or getattr(owner, name))
    is_inherited = name not in vars(owner)
    ours = classmethod(patch.wrapper) if of_class is not None else patch.wrapper
    setattr(owner, name, ours)

    def undo() -> None:
        # Somebody else may have patched over ours since; then ours stays below, and passes through.
        if vars(owner).get(name) is not ours:
            return
        if is_inherited:
            delattr(owner, name)
        else:
            setattr(owner, name, held)

    patch.undo = undo
    return patch


def _function_of_class(held: object) -> Callable[..., Any] | None:
    """What a class method calls with the class; None for what is no class method."""
    if isinstance(held, classmethod):
        return held.__func__
    if isinstance(held, ClassMethodDescriptorType):
        return lambda cls, *args, **kwargs: held.__get__(None, cls)(*args, **kwargs)
    return None


def _replace_code(function: FunctionType) -> _Patch:
    code = function.__code__
    original = _twin(function)
    patch = _Patch(original)
    trampoline = _code_that_calls(patch.wrapper, name=function.__name__)
    had_wrapped = getattr(function, "__wrapped__", None)
    function.__code__ = trampoline
    function.__wrapped__ = original  # type: ignore[attr-defined]  # so that inspect still sees signature and source

    def undo() -> None:
        if function.__code__ is not trampoline:
            return
        function.__code__ = code
        del function.__wrapped__  # type: ignore[attr-defined]
        if had_wrapped is not None:
            function.__wrapped__ = had_wrapped  # type: ignore[attr-defined]

    patch.undo = undo
    return patch


def _twin(function: FunctionType) -> FunctionType:
    """Another function object with the same code, defaults and attributes."""
    twin = FunctionType(
        function.__code__, function.__globals__, function.__name__, function.__defaults__, function.__closure__
    )
    twin.__kwdefaults__ = function.__kwdefaults__
    functools.update_wrapper(twin, function)
    del twin.__wrapped__  # type: ignore[attr-defined]  # update_wrapper set it to the function, whose own it shall be
    if hasattr(function, "__wrapped__"):
        twin.__wrapped__ = function.__wrapped__  # type: ignore[attr-defined]
    return twin


PATCHES = PatchTable()
"""The table of this process: the one piece of module-level state, for functions are process-wide too."""
