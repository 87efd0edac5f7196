"""Writes a session's capsules: one for each failure, when it happens, and keeps nothing of it afterwards."""

import hashlib
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import tensorcheck
from tensorcheck.capsules.archive import write_capsule
from tensorcheck.capsules.contents import Capsule, Failure
from tensorcheck.capsules.wish import CapsuleWish
from tensorcheck.capturing.failing import failing_call, heard_call, model_call
from tensorcheck.capturing.keeping import Keeper, Skip
from tensorcheck.capturing.sources import sources_of
from tensorcheck.capturing.storing import Limits, Store
from tensorcheck.capturing.surroundings import surroundings
from tensorcheck.events.crash import Crashed
from tensorcheck.experiment.isolation import unseen
from tensorcheck.findings import Finding, Severity
from tensorcheck.observe.environment import environment
from tensorcheck.observe.stack import standing
from tensorcheck.record import Record
from tensorcheck.render.json import to_json


class CapsuleKeeper(Keeper):
    """Writes the capsules of one session, each fingerprint's once; what can't be written is told, and no more is."""

    def __init__(self, wish: CapsuleWish, skip: Skip) -> None:
        self._wish = wish
        self._skip = skip
        self._written: dict[str, Path] = {}
        self._of_crashes: set[str] = set()
        self._is_off = False

    def keep_crash(self, error: Exception, crash: Crashed, findings: Sequence[Finding]) -> str:
        """Write a crash down; the note to add to the exception."""
        finding = next(iter(findings), None)
        fingerprint = finding.fingerprint if finding is not None else _fingerprint_of(crash)
        if fingerprint in self._written or self._is_off:
            return ""
        try:
            path = self._keep_crash(error, crash, finding, fingerprint)
        except Exception as fault:  # noqa: BLE001 - the user's own exception is never replaced
            self._give_up(fault)
            return ""
        self._of_crashes.add(fingerprint)
        return f" = capsule: tensorcheck replay {path.name}"

    def _keep_crash(self, error: Exception, crash: Crashed, finding: Finding | None, fingerprint: str) -> Path:
        with unseen(), standing(error.__traceback__) as frames:
            store = self._store()
            call = failing_call(frames, crash.call, store)
            capsule = Capsule(
                report=_report(finding),
                failure=Failure(type(error).__qualname__, str(error)),
                call=call,
                model=model_call(frames, call, store),
            )
            return self._write(capsule, store, finding.rule if finding is not None else "crash", fingerprint)

    def keep_finding(self, finding: Finding) -> None:
        """Write down the call in which an error was found."""
        if finding.severity is not Severity.ERROR or finding.fingerprint in self._written or self._is_off:
            return
        try:
            path = self._keep_finding(finding, sys._getframe(1))  # noqa: SLF001 - the running stack
        except Exception as fault:  # noqa: BLE001 - the training goes on
            self._give_up(fault)
            return
        self._wish.tell(f"{path.name} holds what failed; tensorcheck replay {path.name} repeats it")

    def _keep_finding(self, finding: Finding, running: FrameType) -> Path:
        with unseen(), standing():
            store = self._store()
            capsule = Capsule(report=_report(finding), call=heard_call(running, store))
            return self._write(capsule, store, finding.rule, finding.fingerprint)

    def _store(self) -> Store:
        return Store(Limits(with_weights=self._wish.with_weights))

    def _write(self, capsule: Capsule, store: Store, what: str, fingerprint: str) -> Path:
        around = surroundings(store)
        whole = replace(
            capsule,
            tensors=tuple(store.tensors),
            modules=tuple(store.modules),
            sources=tuple(sources_of(store.of_user)),
            surroundings=around,
            notes=tuple(store.notes),
        )
        path = self._wish.next_path(what, fingerprint, is_first=not self._written)
        write_capsule(path, whole, store.values)
        self._written[fingerprint] = path
        return path

    def _give_up(self, fault: Exception) -> None:
        self._is_off = True
        words = fault.strerror if isinstance(fault, OSError) else f"{type(fault).__name__}: {fault}"
        self._skip("capsule", f"it could not be written: {words}")

    def forget_crashes(self) -> None:
        """Remove the capsules of exceptions that the script handled."""
        for fingerprint in self._of_crashes:
            self._written.pop(fingerprint).unlink(missing_ok=True)
        self._of_crashes.clear()


def _report(finding: Finding | None) -> dict[str, Any]:
    findings = () if finding is None else (finding,)
    command = " ".join(sys.orig_argv[1:])
    return to_json(Record(tensorcheck.__version__, command, environment(), findings))


def _fingerprint_of(crash: Crashed) -> str:
    text = f"{crash.error}\0{crash.site.code if crash.site is not None else ''}"
    return hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()[:16]
