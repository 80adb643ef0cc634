"""What became of a call: by its id, read from the store when asked.

A result waits by notification: the store's watch is made first and the record read after, so that
nothing falls between; and because a notification may be lost, the record is read again at least
every second. Every wait with a timeout ends in time, whatever the store does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from typing import Any

from tqconsole.engine import current, exceptions, states
from tqconsole.engine.joining import assert_will_not_block
from tqconsole.engine.protocol.result import ResultRecord
from tqconsole.engine.result_graph import DependencyGraph, graph_of
from tqconsole.engine.result_stored import Reading, StoredResult

#: Seconds after which a waiting reader looks again without having been told.
_LOOK_AGAIN_S = 1.0
#: Seconds between two looks at least: `interval=0` must not make a busy loop.
_SHORTEST_INTERVAL_S = 0.005


class AsyncResult(StoredResult):
    """The result of one call. Cheap to make; nothing is read before it is asked for."""

    #: Who is to be told of the end: (called with this result, called with the error).
    _waiting: tuple[tuple[Callable[[Any], Any], Callable[[Any], Any] | None], ...] = ()

    @property
    def children(self) -> list[Any] | None:
        """The results of what the task has sent (a GroupResult for a group); None when that is not
        known.
        """
        children = self.record().children
        if children is None:
            return None
        return [result_from_tuple(entry, self.app) for entry in children]

    def then(
        self,
        callback: Callable[[Any], Any],
        on_error: Callable[[Any], Any] | None = None,
        weak: bool = False,
    ) -> AsyncResult:
        """Have `callback` called with this result when its end becomes known here, at once if it
        is; with `on_error` a failure goes there, as the exception. Returns this result.

        It becomes known to who asks: by `get`, `ready`, a group's `join`, and the like.
        """
        self._waiting = (*self._waiting, (callback, on_error))
        if self.is_known or self.ready():
            self.on_ready()
        return self

    def on_ready(self) -> None:
        """Tell who waits. What a callback raises passes through."""
        waiting, self._waiting = self._waiting, ()
        for callback, on_error in waiting:
            if on_error is not None and self.state in states.PROPAGATE_STATES:
                on_error(self.result)
            else:
                callback(self)

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
        record = self._record
        if record is None:
            record = self._wait(timeout, interval, on_message, on_interval)
        if propagate and record.state in states.PROPAGATE_STATES:
            self._raise_own()
        if callback is not None:
            callback(self.id, record.result)
        return record.result

    wait = get

    def __await__(self) -> Generator[Any, Any, Any]:
        """Return the value, as `aget()` does: `value = await result`."""
        return self.aget().__await__()

    async def aget(
        self,
        timeout: float | None = None,
        propagate: bool = True,
        follow_parents: bool = True,
        callback: Callable[[str, Any], Any] | None = None,
    ) -> Any:
        """Await what `get` waits for; the arguments mean the same. Also inside of a task: a
        coroutine that waits holds nobody up.

        Raises: TimeoutError in time, what the task raised, and what the store raises.
        """
        if self.ignored:
            return None
        if propagate and follow_parents:
            self._raise_of_parents()
        if self._record is None:
            from tqconsole.engine.awaiting import await_record  # noqa: PLC0415 - brings asyncio

            await await_record(self, timeout)
        value = self.result
        if propagate:
            self._raise_own()
        if callback is not None:
            callback(self.id, value)
        return value

    def _wait(
        self,
        timeout_s: float | None,
        interval_s: float,
        on_message: Callable[[dict[str, Any]], Any] | None,
        on_interval: Callable[[], Any] | None,
    ) -> ResultRecord:
        clock = self.app.wall_clock
        deadline_mono = None if timeout_s is None else clock.mono() + timeout_s
        pause_s = min(max(interval_s, _SHORTEST_INTERVAL_S), _LOOK_AGAIN_S)
        watch = self._watched(deadline_mono)
        last: ResultRecord | None = None
        reading = Reading(clock, self.app.store_patience)
        leave = watch.close
        try:
            if watch.has_looked and (timeout_s is None or timeout_s > 0):
                watch.wait(pause_s if timeout_s is None else min(pause_s, timeout_s))
            while True:
                record = reading.record(self)
                if on_message is not None and record.state != states.PENDING and record != last:
                    on_message(meta_of(record))
                last = record
                if record.state in states.READY_STATES:
                    leave = watch.end
                    return record
                if on_interval is not None:
                    on_interval()
                left_s = None if deadline_mono is None else deadline_mono - clock.mono()
                if left_s is not None and left_s <= 0:
                    raise exceptions.TimeoutError("The operation timed out.")
                watch.wait(pause_s if left_s is None else min(pause_s, left_s))
        finally:
            leave()

    def _watched(self, deadline_mono: float | None) -> Any:
        home = self.app
        try:
            return self.backend.watch([self.id], home.oid)
        except exceptions.OperationalError as error:
            return home.store_patience.outlast(
                lambda: self.backend.watch([self.id], home.oid),
                error,
                home.wall_clock,
                deadline_mono,
            )

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
        parents = []
        node = self.parent
        while node is not None:
            parents.append(node)
            node = node.parent
        # The first to fail says why.
        for node in reversed(parents):
            node.maybe_throw()

    # -- ending it

    def forget(self) -> None:
        """Delete the record, also those of the calls before it in its chain."""
        self._record = None
        if self.parent is not None:
            self.parent.forget()
        if self.app.result_cache is not None:
            self.app.result_cache.forget(self.id)
        self.persist(lambda: self.backend.forget([self.id]))

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

    @property
    def graph(self) -> DependencyGraph:
        """What it has brought about, as far as that has ended, as a graph."""
        return self.build_graph(intermediate=True)

    def build_graph(self, intermediate: bool = False, formatter: Any = None) -> DependencyGraph:
        """Return what it has brought about as a graph of results.

        Raises: IncompleteStream at one that has not ended, unless `intermediate`.
        """
        return graph_of(self, self.iterdeps(intermediate), formatter)

    # -- being a value

    def as_meta(self) -> dict[str, Any]:
        """Return the record as Celery's dict."""
        return meta_of(self.record())

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


def result_from_tuple(value: Any, app: Any = None) -> Any:
    """Return the result that a result tuple stands for: of one call, or of a group.

    Raises: ValueError for what is no result tuple.
    """
    if hasattr(value, "as_tuple"):
        return value
    app = current.app_or_default(app)
    head, members = value if isinstance(value, list | tuple) and len(value) == 2 else (value, None)
    result_id, parent = head if isinstance(head, list | tuple) and len(head) == 2 else (head, None)
    if not isinstance(result_id, str) or not isinstance(members, list | tuple | None):
        raise ValueError(f"{value!r:.100} is no result tuple")  # noqa: TRY004 - what was stored
    before = result_from_tuple(parent, app) if parent else None
    if members is None:
        return app.AsyncResult(result_id, parent=before)
    results = [result_from_tuple(member, app) for member in members]
    return app.GroupResult(result_id, results, parent=before)


def meta_of(record: ResultRecord) -> dict[str, Any]:
    """Return a record as Celery's dict."""
    return {
        "task_id": record.task_id,
        "status": record.state,
        "result": record.result,
        "traceback": record.traceback,
        "children": record.children,
    }
