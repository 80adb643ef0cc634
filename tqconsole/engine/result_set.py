"""What became of several calls: results that are waited for together.

All records that are still open are read in one question, and not again before a while has passed
that is long beside the time the question took: waiting for n results costs about n reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tqconsole.engine import current, exceptions, states
from tqconsole.engine.exceptions import NotSupportedError
from tqconsole.engine.joining import assert_will_not_block
from tqconsole.engine.result_async import AsyncResult

#: Longest time in seconds between two looks, and the shortest.
_LOOK_AGAIN_S, _SHORTEST_PAUSE_S = 1.0, 0.005
#: The next look comes after this many times the last one's duration.
_PATIENCE = 4.0


class ResultSet:
    """Results in an order. Some may be groups themselves."""

    def __init__(self, results: Sequence[Any] | None = None, app: Any = None) -> None:
        self.results: list[Any] = list(results or ())
        self._home = app
        self._waiting: list[tuple[Callable[[Any], Any], Callable[[Any], Any] | None]] = []

    @property
    def app(self) -> Any:
        """The app they belong to."""
        if self._home is None:
            own = self.results[0].app if self.results else None
            self._home = own or current.get_current_app()
        return self._home

    @property
    def backend(self) -> Any:
        """The store that knows them."""
        return self.app.backend

    # -- which

    def add(self, result: Any) -> None:
        """Add a result that is not in it."""
        if result not in self.results:
            self.results.append(result)

    def remove(self, result: Any) -> None:
        """Take a result, or the one of that id, out. Raises: KeyError."""
        try:
            self.results.remove(result)
        except ValueError:
            raise KeyError(result) from None

    def discard(self, result: Any) -> None:
        """Take a result out if it is in."""
        if result in self.results:
            self.results.remove(result)

    def update(self, results: Sequence[Any]) -> None:
        """Add those that are not in it."""
        for result in results:
            self.add(result)

    def clear(self) -> None:
        """Take all out."""
        self.results.clear()

    def __iter__(self) -> Iterator[Any]:
        return iter(self.results)

    def __getitem__(self, index: Any) -> Any:
        return self.results[index]

    def __len__(self) -> int:
        return len(self.results)

    def leaves(self) -> list[AsyncResult]:
        """Return the results of single calls in it, those of groups inside too."""
        found: list[AsyncResult] = []
        for result in self.results:
            found.extend(result.leaves() if isinstance(result, ResultSet) else [result])
        return found

    # -- how they are

    def successful(self) -> bool:
        """Return True when all have a value."""
        self._look()
        return all(result.successful() for result in self.results)

    def failed(self) -> bool:
        """Return True when one has failed."""
        self._look()
        return any(result.failed() for result in self.results)

    def waiting(self) -> bool:
        """Return True when one has not ended."""
        return not self.ready()

    def ready(self) -> bool:
        """Return True when all have ended."""
        self._look()
        is_ready = all(result.ready() for result in self.results)
        if is_ready:
            self._tell()
        return is_ready

    def completed_count(self) -> int:
        """Return how many have a value; a group inside counts as one, when all of it has."""
        self._look()
        return sum(result.successful() for result in self.results)

    def maybe_throw(self, callback: Any = None, propagate: bool = True) -> None:
        """Raise what the first failed one raised, if one did."""
        self._look()
        for result in self.results:
            result.maybe_throw(callback=callback, propagate=propagate)

    maybe_reraise = maybe_throw

    # -- waiting

    def get(
        self,
        timeout: float | None = None,
        propagate: bool = True,
        interval: float = 0.5,
        callback: Callable[[str, Any], Any] | None = None,
        no_ack: bool = True,
        on_message: Callable[[dict[str, Any]], Any] | None = None,
        disable_sync_subtasks: bool = True,
        on_interval: Callable[[], Any] | None = None,
    ) -> Any:
        """Wait for all and return their values in order; see `join_native`."""
        return self.join_native(
            timeout, propagate, interval, callback, no_ack, on_message, on_interval,
            disable_sync_subtasks,
        )  # fmt: skip

    def join(
        self,
        timeout: float | None = None,
        propagate: bool = True,
        interval: float = 0.5,
        callback: Callable[[str, Any], Any] | None = None,
        no_ack: bool = True,
        on_message: Any = None,
        disable_sync_subtasks: bool = True,
        on_interval: Callable[[], Any] | None = None,
    ) -> list[Any]:
        """Wait for one after another and return their values; raise what the first in order raised.

        With a `callback` it gets each (id, value) instead. Raises: TimeoutError.
        """
        if disable_sync_subtasks:
            assert_will_not_block()
        if on_message is not None:
            raise exceptions.ImproperlyConfigured(
                "join takes no on_message: use join_native or get"
            )
        clock = self.app.wall_clock
        until_mono = None if timeout is None else clock.mono() + timeout
        self._look()
        values = []
        for result in self.results:
            value = result.get(
                timeout=None if until_mono is None else max(0.0, until_mono - clock.mono()),
                propagate=propagate,
                interval=interval,
                on_interval=on_interval,
                disable_sync_subtasks=disable_sync_subtasks,
            )
            values.append(value)
            if callback is not None:
                callback(result.id, value)
        self._tell()
        return [] if callback is not None else values

    def join_native(
        self,
        timeout: float | None = None,
        propagate: bool = True,
        interval: float = 0.5,
        callback: Callable[[str, Any], Any] | None = None,
        no_ack: bool = True,
        on_message: Callable[[dict[str, Any]], Any] | None = None,
        on_interval: Callable[[], Any] | None = None,
        disable_sync_subtasks: bool = True,
    ) -> Any:
        """Wait for all at once and return their values in order; raise the first error that comes.

        With a `callback` it gets each (id, value) as it comes, and None is returned.
        Raises: TimeoutError; NotSupportedError without a result store.
        """
        if disable_sync_subtasks:
            assert_will_not_block()
        for result in self._ended(timeout, interval, on_message, on_interval):
            value = result.get(propagate=propagate, disable_sync_subtasks=disable_sync_subtasks)
            if callback is not None:
                callback(result.id, value)
        self._tell()
        if callback is not None:
            return None
        return [result.get(propagate=False, disable_sync_subtasks=False) for result in self.results]

    def iter_native(
        self,
        timeout: float | None = None,
        interval: float = 0.5,
        no_ack: bool = True,
        on_message: Callable[[dict[str, Any]], Any] | None = None,
        on_interval: Callable[[], Any] | None = None,
    ) -> Iterator[tuple[str, Any]]:
        """Yield (id, record as a dict) as they end; for a group inside the list of its results."""
        for result in self._ended(timeout, interval, on_message, on_interval):
            yield result.id, result.results if isinstance(result, ResultSet) else result.as_meta()

    def iterate(self, timeout: float | None = None, propagate: bool = True) -> Iterator[Any]:
        """Yield the values as they come."""
        for result in self._ended(timeout, _LOOK_AGAIN_S, None, None):
            yield result.get(propagate=propagate)

    def then(
        self,
        callback: Callable[[Any], Any],
        on_error: Callable[[Any], Any] | None = None,
        weak: bool = False,
    ) -> ResultSet:
        """Have `callback` called with this when the end of all becomes known here; with `on_error`
        a failure goes there, as the exception. Returns this.
        """
        self._waiting.append((callback, on_error))
        self.ready()
        return self

    def _tell(self) -> None:
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        errors = [it.result for it in self.leaves() if it.state in states.PROPAGATE_STATES]
        for callback, on_error in waiting:
            if errors and on_error is not None:
                on_error(errors[0])
            else:
                callback(self)

    def _look(self) -> None:
        """Read what is open, in one question for each store."""
        _read([leaf for leaf in self.leaves() if not leaf.is_known])

    def _ended(
        self,
        timeout_s: float | None,
        interval_s: float,
        on_message: Callable[[dict[str, Any]], Any] | None,
        on_interval: Callable[[], Any] | None,
    ) -> Iterator[Any]:
        """Yield the results as they end. Raises: TimeoutError."""
        clock = self.app.wall_clock
        until_mono = None if timeout_s is None else clock.mono() + timeout_s
        left = list(self.results)
        open_leaves = [leaf for leaf in self.leaves() if not leaf.is_known]
        watches = [_watch(store, ids, self.app.oid) for store, ids in _by_store(open_leaves)]
        try:
            while left:
                began_mono = clock.mono()
                _read(open_leaves)
                cost_s = clock.mono() - began_mono
                known = [leaf for leaf in open_leaves if leaf.is_known]
                open_leaves = [leaf for leaf in open_leaves if not leaf.is_known]
                if on_message is not None:
                    for leaf in known:
                        on_message(leaf.as_meta())
                done = [result for result in left if _is_over(result)]
                left = [result for result in left if not _is_over(result)]
                yield from done
                if on_interval is not None:
                    on_interval()
                left_s = None if until_mono is None else until_mono - clock.mono()
                if left and left_s is not None and left_s <= 0:
                    raise exceptions.TimeoutError("The operation timed out.")
                if left:
                    _pause(clock, watches, cost_s, interval_s, left_s)
        finally:
            for watch in watches:
                watch.close()

    # -- ending them

    def forget(self) -> None:
        """Delete their records."""
        for result in self.results:
            result.forget()

    def revoke(
        self,
        connection: Any = None,
        terminate: bool = False,
        signal: str | None = None,
        wait: bool = False,
        timeout: float | None = None,
    ) -> Any:
        """Have none of them start; see `AsyncResult.revoke`."""
        return self.app.control.revoke(
            [leaf.id for leaf in self.leaves()],
            terminate=terminate,
            signal=signal or "SIGTERM",
            reply=wait,
            timeout=1.0 if timeout is None else timeout,
        )

    # -- being a value

    def __eq__(self, other: object) -> bool:
        return other.results == self.results if isinstance(other, ResultSet) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # its results change, as a list's items do

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: [{', '.join(str(it.id) for it in self.results)}]>"


def _by_store(leaves: Sequence[AsyncResult]) -> list[tuple[Any, list[str]]]:
    """Return the ids that are to be asked of each store."""
    stores: dict[int, tuple[Any, list[str]]] = {}
    for leaf in leaves:
        store = leaf.backend
        stores.setdefault(id(store), (store, []))[1].append(leaf.id)
    return list(stores.values())


def _read(leaves: Sequence[AsyncResult]) -> None:
    """Let the results know what the stores know of them."""
    for store, ids in _by_store(leaves):
        records = store.fetch(ids)
        for leaf in leaves:
            if leaf.id in records and leaf.backend is store:
                leaf.take(records[leaf.id])


def _watch(store: Any, ids: Sequence[str], oid: str) -> Any:
    if not store.is_enabled:
        raise NotSupportedError(
            "No result backend is configured. Set result_backend (or --result-backend URL)."
        )
    return store.watch(ids, oid)


def _is_over(result: Any) -> bool:
    if isinstance(result, ResultSet):
        return all(_is_over(inner) for inner in result.results)
    return result.is_known or bool(result.ignored)


def _pause(
    clock: Any, watches: Sequence[Any], cost_s: float, interval_s: float, left_s: float | None
) -> None:
    """Wait for news, and not less than the last look is worth."""
    least_s = max(_SHORTEST_PAUSE_S, min(cost_s * _PATIENCE, _LOOK_AGAIN_S))
    most_s = max(min(interval_s, _LOOK_AGAIN_S), least_s)
    if left_s is not None:
        most_s = min(most_s, left_s)
    began_mono = clock.mono()
    # One of several stores is watched at a time; all are looked at after it.
    watches[0].wait(most_s if len(watches) == 1 else min(most_s, least_s))
    rest_s = min(least_s, most_s) - (clock.mono() - began_mono)
    if rest_s > 0 and cost_s * _PATIENCE > _SHORTEST_PAUSE_S:
        clock.sleep(rest_s)
