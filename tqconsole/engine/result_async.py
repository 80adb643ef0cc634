"""What became of a call: by its id, read from the store when asked.

A result waits by notification: the store's watch is made first and the record read after, so that
nothing falls between; and because a notification may be lost, the record is read again at least
every second. Every wait with a timeout ends in time, whatever the store does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from tqconsole.engine import exceptions, states
from tqconsole.engine.joining import assert_will_not_block
from tqconsole.engine.protocol.result import ResultRecord
from tqconsole.engine.result_stored import Reading, StoredResult

#: Seconds after which a waiting reader looks again without having been told.
_LOOK_AGAIN_S = 1.0
#: Seconds between two looks at least: `interval=0` must not make a busy loop.
_SHORTEST_INTERVAL_S = 0.005


class AsyncResult(StoredResult):
    """The result of one call. Cheap to make; nothing is read before it is asked for."""

    @property
    def children(self) -> list[AsyncResult] | None:
        """The results of what the task has sent; None when that is not known."""
        children = self.record().children
        if children is None:
            return None
        return [result for entry in children for result in _results_of(entry, self._home)]

    # -- waiting

    def get(
        self,
        timeout: float | None = None,
        propagate: bool = True,
        interval: float = 0.5,
        no_ack: bool = True,
        follow_parents: bool = True,
        callback: Callable[[str, Any], Any] | None = None,
        on_message: Callable[[dict[str, Any]], Any] | None = None,
        on_interval: Callable[[], Any] | None = None,
        disable_sync_subtasks: bool = True,
    ) -> Any:
        """Wait until it has ended and return the value, or raise what the task raised.

        Args:
            timeout: Seconds; None waits as long as it takes.
            propagate: False returns the exception instead.
            interval: Longest time in seconds between two looks at the store; news come at once.
            no_ack: Celery's, for stores that are queues; others have nothing to acknowledge.
            follow_parents: Raise also when a task before this one in its chain failed.
            callback: Called with (id, value).
            on_message: Called with each new record as a dict.
            on_interval: Called after each look.
            disable_sync_subtasks: False allows waiting inside a task.
        Raises: TimeoutError in time; OperationalError when the store is away at the beginning, or
            for 30 s; NotSupportedError without a result store; RuntimeError inside a task.
        """
        if self.ignored:
            return None
        if disable_sync_subtasks:
            assert_will_not_block()
        if propagate and follow_parents:
            self._raise_of_parents()
        if self._record is None:
            self._wait(timeout, interval, on_message, on_interval)
        value = self.result
        if propagate:
            self._raise_own()
        if callback is not None:
            callback(self.id, value)
        return value

    wait = get

    def _wait(
        self,
        timeout_s: float | None,
        interval_s: float,
        on_message: Callable[[dict[str, Any]], Any] | None,
        on_interval: Callable[[], Any] | None,
    ) -> None:
        clock = self.app.wall_clock
        deadline_mono = None if timeout_s is None else clock.mono() + timeout_s
        pause_s = min(max(interval_s, _SHORTEST_INTERVAL_S), _LOOK_AGAIN_S)
        watch = self.backend.watch([self.id], self.app.oid)
        last: ResultRecord | None = None
        reading = Reading(clock)
        try:
            if watch.has_looked and (timeout_s is None or timeout_s > 0):
                watch.wait(pause_s if timeout_s is None else min(pause_s, timeout_s))
            while True:
                record = reading.record(self)
                if on_message is not None and record.state != states.PENDING and record != last:
                    on_message(_as_meta(record))
                last = record
                if record.state in states.READY_STATES:
                    watch.end()
                    return
                if on_interval is not None:
                    on_interval()
                left_s = None if deadline_mono is None else deadline_mono - clock.mono()
                if left_s is not None and left_s <= 0:
                    raise exceptions.TimeoutError("The operation timed out.")
                watch.wait(pause_s if left_s is None else min(pause_s, left_s))
        finally:
            watch.close()

    def maybe_throw(self, propagate: bool = True, callback: Any = None) -> Any:
        """Raise what the task raised, if it did; else return the result as it is."""
        record = self.record()
        if propagate and record.state in states.PROPAGATE_STATES:
            self._raise_own()
        if callback is not None:
            callback(self.id, record.result)
        return record.result

    maybe_reraise = maybe_throw

    def _raise_own(self) -> None:
        record = self.record()
        if record.state not in states.PROPAGATE_STATES:
            return
        if isinstance(record.result, BaseException):
            raise record.result
        raise exceptions.TaskRevokedError(record.result or record.state)

    def _raise_of_parents(self) -> None:
        node = self.parent
        while node is not None:
            node.maybe_throw()
            node = node.parent

    # -- ending it

    def forget(self) -> None:
        """Delete the record, also those of the calls before it in its chain."""
        self._record = None
        if self.parent is not None:
            self.parent.forget()
        self.backend.forget([self.id])

    def revoke(
        self,
        connection: Any = None,
        terminate: bool = False,
        signal: str | None = None,
        wait: bool = False,
        timeout: float | None = None,
    ) -> Any:
        """Have it never start; `terminate` also kills the process that runs it.

        With `wait` it returns the workers' replies, within `timeout` seconds (1 by default).
        """
        return self.app.control.revoke(
            self.id,
            terminate=terminate,
            signal=signal or "SIGTERM",
            reply=wait,
            timeout=1.0 if timeout is None else timeout,
        )

    def revoke_by_stamped_headers(
        self,
        headers: dict[str, Any],
        connection: Any = None,
        terminate: bool = False,
        signal: str | None = None,
        wait: bool = False,
        timeout: float | None = None,
    ) -> Any:
        """Have every call that carries one of these stamps never start."""
        return self.app.control.revoke_by_stamped_headers(
            headers,
            terminate=terminate,
            signal=signal or "SIGTERM",
            reply=wait,
            timeout=1.0 if timeout is None else timeout,
        )

    # -- what hangs on it

    def iterdeps(self, intermediate: bool = False) -> Iterator[tuple[Any, AsyncResult]]:
        """Yield (parent, result) of this and all it has brought about, breadth first.

        Raises: IncompleteStream at one that has not ended, unless `intermediate`.
        """
        waiting: deque[tuple[Any, AsyncResult]] = deque([(None, self)])
        while waiting:
            parent, node = waiting.popleft()
            yield parent, node
            if node.ready():
                waiting.extend((node, child) for child in node.children or ())
            elif not intermediate:
                raise exceptions.IncompleteStream

    def collect(self, intermediate: bool = False, **kwargs: Any) -> Iterator[tuple[Any, Any]]:
        """Yield (result, value) of this and all it has brought about, waiting for each."""
        for _parent, result in self.iterdeps(intermediate):
            yield result, result.get(**kwargs)

    def get_leaf(self) -> Any:
        """Return the value of the last of them."""
        value = None
        for _parent, result in self.iterdeps():
            value = result.get()
        return value

    # -- being a value

    def as_tuple(self) -> tuple[Any, None]:
        """Return it as Celery's result tuple (wire.md §4.1)."""
        return (self.id, self.parent.as_tuple() if self.parent is not None else None), None

    def as_list(self) -> list[str]:
        """Return this id and those of its parents."""
        return [self.id, *(self.parent.as_list() if self.parent is not None else ())]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, AsyncResult):
            return other.id == self.id
        return other == self.id if isinstance(other, str) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.id)

    def __str__(self) -> str:
        return str(self.id)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.id}>"

    def __copy__(self) -> AsyncResult:
        return AsyncResult(self.id, self._backend, self.task_name, self._home, self.parent)

    def __deepcopy__(self, memo: dict[int, Any]) -> AsyncResult:
        return self.__copy__()

    def __reduce__(self) -> Any:
        return AsyncResult, (self.id, None, self.task_name, None, self.parent)


def result_from_tuple(value: Any, app: Any = None) -> AsyncResult:
    """Return the result that a result tuple stands for.

    Raises: ValueError for what is no tuple of one call.
    """
    if isinstance(value, AsyncResult):
        return value
    found = _results_of(value, app)
    if len(found) != 1:
        raise ValueError(f"{value!r} stands for {len(found)} results")
    return found[0]


def _results_of(entry: Any, app: Any) -> list[AsyncResult]:
    """Return the results in a result tuple: one, or those of a group's members."""
    if isinstance(entry, AsyncResult):
        return [entry]
    head, members = entry if isinstance(entry, list | tuple) and len(entry) == 2 else (entry, None)
    if members is not None:
        return [result for member in members for result in _results_of(member, app)]
    task_id, parent = head if isinstance(head, list | tuple) else (head, None)
    found = AsyncResult(task_id, app=app)
    if parent:
        found.parent = result_from_tuple(parent, app)
    return [found]


def _as_meta(record: ResultRecord) -> dict[str, Any]:
    return {
        "task_id": record.task_id,
        "status": record.state,
        "result": record.result,
        "traceback": record.traceback,
        "children": record.children,
    }
