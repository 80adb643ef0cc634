"""Waits for results on behalf of event loops: one thread for all that is awaited of one store.

A coroutine may not block, and a thread for each of thousands of awaited results would be dear. So
one watch is kept over all of them, and who awaits is told in the loop that it belongs to. The
thread lives as long as something is awaited.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tqconsole.engine.clock import Clock

if TYPE_CHECKING:
    from tqconsole.engine.backends.base import Backend, Watch

#: Seconds that one look at the watch may take: so long does a newcomer go unwatched. The first
#: holds while newcomers come, the second when none has come for a while.
_BUSY_S, _CALM_S = 0.02, 0.1
_CALM_AFTER_S = 2.0
#: Seconds after which the store is asked although the watch says nothing.
_LOOK_AGAIN_S = 1.0

#: Is given the encoded record, or what the store raised; returns True when it wants no more.
Told = Callable[[bytes | None, Exception | None], bool]


class ResultWaiter:
    """What is awaited of one store. `expect` and `give_up` are thread-safe."""

    def __init__(self, backend: Backend, reply_to: str, clock: Clock) -> None:
        self._backend = backend
        self._reply_to = reply_to
        self._clock = clock
        self._lock = threading.Lock()
        self._wanted: dict[str, list[Told]] = {}
        self._has_new = False
        self._thread: threading.Thread | None = None

    def expect(self, task_id: str, told: Told) -> None:
        """Have `told` called (in another thread) with each record of the call that comes."""
        with self._lock:
            self._wanted.setdefault(task_id, []).append(told)
            self._has_new = True
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="results", daemon=True)
                self._thread.start()

    def give_up(self, task_id: str, told: Told) -> None:
        """Call it no more; it need not be known."""
        with self._lock:
            waiting = self._wanted.get(task_id, [])
            if told in waiting:
                waiting.remove(told)
            if not waiting:
                self._wanted.pop(task_id, None)

    def _run(self) -> None:
        watch: Watch | None = None
        new_mono = looked_mono = self._clock.mono()
        try:
            while (asked := self._asked()) is not None:
                task_ids, has_new = asked
                now_mono = self._clock.mono()
                if watch is None or has_new:
                    if watch is not None:
                        watch.close()
                    watch = self._backend.watch(task_ids, self._reply_to)
                    new_mono, looked_mono = now_mono, 0.0
                slice_s = _BUSY_S if now_mono - new_mono < _CALM_AFTER_S else _CALM_S
                if looked_mono == 0.0 or now_mono - looked_mono >= _LOOK_AGAIN_S:
                    self._look(task_ids)
                    looked_mono = now_mono
                before_mono = self._clock.mono()
                watch.wait(slice_s)
                if self._clock.mono() - before_mono < slice_s * 0.9:
                    looked_mono = 0.0
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait must hear of it
            self._fail(error)
        finally:
            if watch is not None:
                watch.close()

    def _asked(self) -> tuple[list[str], bool] | None:
        """Return what is awaited and whether that is more than before; None: nothing, so the
        thread ends (decided under the lock: a newcomer finds it alive or starts another).
        """
        with self._lock:
            if not self._wanted:
                self._thread = None
                return None
            has_new, self._has_new = self._has_new, False
            return list(self._wanted), has_new

    def _look(self, task_ids: list[str]) -> None:
        for task_id, record in self._backend.fetch(task_ids).items():
            for told in self._told_of(task_id):
                if told(record, None):
                    self.give_up(task_id, told)

    def _told_of(self, task_id: str) -> list[Told]:
        with self._lock:
            return list(self._wanted.get(task_id, ()))

    def _fail(self, error: Exception) -> None:
        with self._lock:
            wanted, self._wanted, self._thread = self._wanted, {}, None
        for waiting in wanted.values():
            for told in waiting:
                told(None, error)


class ResultWaiters:
    """An app's: one for each store that results are awaited of."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._waiters: dict[Any, ResultWaiter] = {}

    def of(self, backend: Backend, reply_to: str) -> ResultWaiter:
        """Return that of a store, made if need be."""
        with self._lock:
            waiter = self._waiters.get(backend)
            if waiter is None:
                waiter = self._waiters[backend] = ResultWaiter(backend, reply_to, self._clock)
            return waiter
