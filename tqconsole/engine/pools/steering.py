"""The soft time limit of a run that is a coroutine: an exception raised inside user code, and only
there.

asyncio can only cancel from outside. So the coroutine is driven step by step, and the cancellation
that a soft limit asks for reaches it as SoftTimeLimitExceeded, which it may catch and go on from,
as in a process. A cancellation that anybody else asked for passes unchanged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from contextvars import ContextVar
from typing import Any

from tqconsole.engine.exceptions import SoftTimeLimitExceeded


class Steering:
    """Where the run of one asyncio task is. Used in the loop's thread only."""

    __slots__ = ("_is_inside", "_is_struck", "task")

    def __init__(self) -> None:
        self.task: asyncio.Task[Any] | None = None
        self._is_inside = False
        self._is_struck = False

    def strike(self) -> None:
        """Raise SoftTimeLimitExceeded in the user's coroutine, if it is running."""
        if self._is_inside and self.task is not None:
            self._is_struck = True
            self.task.cancel()

    def around(self, coroutine: Coroutine[Any, Any, Any]) -> _Steered:
        """Return what is awaited in place of the user's coroutine."""
        return _Steered(self, coroutine)

    def enter(self) -> None:
        """From here on user code runs."""
        self._is_inside = True

    def leave(self) -> None:
        """User code has ended: a limit that strikes now strikes nothing."""
        self._is_inside = False

    def translated(self, thrown: BaseException) -> BaseException:
        """Return what the user's coroutine is to see of what was thrown into it."""
        if not self._is_struck or not isinstance(thrown, asyncio.CancelledError):
            return thrown
        self._is_struck = False
        if self.task is not None:
            self.task.uncancel()
        return SoftTimeLimitExceeded()


class _Steered:
    """An awaitable that passes everything on to a coroutine, but for what is translated."""

    __slots__ = ("_coroutine", "_steering")

    def __init__(self, steering: Steering, coroutine: Coroutine[Any, Any, Any]) -> None:
        self._steering = steering
        self._coroutine = coroutine

    def __await__(self) -> Generator[Any, Any, Any]:
        steering, coroutine = self._steering, self._coroutine
        value: Any = None
        error: BaseException | None = None
        steering.enter()
        try:
            while True:
                step = coroutine.send(value) if error is None else coroutine.throw(error)
                value, error = None, None
                try:
                    value = yield step
                except GeneratorExit:
                    coroutine.close()
                    raise
                except BaseException as thrown:  # noqa: BLE001 - handed on to the coroutine
                    error = steering.translated(thrown)
        except StopIteration as end:
            return end.value
        finally:
            steering.leave()


_steering: ContextVar[Steering | None] = ContextVar("steering", default=None)


def find_steering() -> Steering | None:
    """Return that of the run this code is in; None where no run is a coroutine."""
    return _steering.get()


def set_steering(steering: Steering) -> None:
    """Make it that of the present context."""
    _steering.set(steering)
