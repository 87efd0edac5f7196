"""Streams, events and the questions about memory: nothing runs at another time than it is called."""

import time
from typing import Any, Self

from tensorcheck.devices.scope import current, wanted


class Stream:
    """A queue of work, which is always empty."""

    kind = "cuda"

    def __init__(self, device: Any = None, priority: int = 0, **_: Any) -> None:
        self.device = wanted(device) or current(self.kind)
        self.priority = priority
        self.device_index = self.device.index
        self.stream_id = self.cuda_stream = 0

    def synchronize(self) -> None:
        """Nothing is waited for."""

    def wait_stream(self, stream: "Stream") -> None:
        """Nothing waits."""

    def wait_event(self, event: "Event") -> None:
        """Nothing waits."""

    def is_capturing(self) -> bool:
        """No graph is recorded."""
        return False

    def query(self) -> bool:
        """All that was asked for is done."""
        return True

    def record_event(self, event: "Event | None" = None) -> "Event":
        """An event of now."""
        event = event or Event()
        event.record(self)
        return event

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stream) and other.device == self.device

    def __hash__(self) -> int:
        return hash(self.device)


class Event:
    """A moment, which is over as soon as it is recorded."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self._time = 0.0

    def record(self, *_: object) -> None:
        """Now."""
        self._time = time.perf_counter()

    def query(self) -> bool:
        """It is over."""
        return True

    def synchronize(self) -> None:
        """Nothing is waited for."""

    def wait(self, *_: object) -> None:
        """Nothing waits."""

    def elapsed_time(self, end: "Event") -> float:
        """The milliseconds until another."""
        return (end._time - self._time) * 1000
