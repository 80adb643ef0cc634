"""Waiting for results: by the bell that the call's `reply_to` names, and by looking.

The one who stores a result rings after its commit. Somebody else's result (a second shell that
knows the id) rings nobody here, so the database's version is looked at every 50 ms besides.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence
from functools import partial

from tqconsole.engine.embedded import forks, results
from tqconsole.engine.embedded.bell import Bell, reply_name
from tqconsole.engine.embedded.store import Store

#: Seconds between two looks, from the first to the longest for up to `_EASY_COUNT` ids.
_FIRST_LOOK_S, _LONGEST_LOOK_S = 0.001, 0.05
_EASY_COUNT = 500


class ReplyBell:
    """One bell for all waiters of one `reply_to` in this process.

    One of them at a time listens; the others sleep until it hears something or gives the place up.
    """

    def __init__(self, store: Store, reply_to: str) -> None:
        self._changed = threading.Condition()
        self._ring_count = 0
        self._is_listened = False
        self._bell: Bell | None = None
        # Another process (a forked child has its parent's address) may have hung it up: look then.
        with contextlib.suppress(OSError):
            self._bell = store.bell(reply_name(reply_to))

    @property
    def ring_count(self) -> int:
        """How often it rang: a waiter compares."""
        return self._ring_count

    def wait(self, seen_count: int, timeout_s: float) -> bool:
        """Sleep until it has rung more than `seen_count` times; True when it has."""
        with self._changed:
            if self._ring_count != seen_count:
                return True
            if self._is_listened or self._bell is None or self._bell.fileno() is None:
                self._changed.wait(timeout_s)
                return self._ring_count != seen_count
            self._is_listened = True
        try:
            self._bell.wait(timeout_s)
        finally:
            with self._changed:
                self._is_listened = False
                self._ring_count += self._bell.drain()
                self._changed.notify_all()
        return self._ring_count != seen_count

    def close(self) -> None:
        """Take it down."""
        if self._bell is not None:
            self._bell.close()

    def abandon(self) -> None:
        """Leave it to the parent (in a forked child)."""
        if self._bell is not None:
            self._bell.abandon()


class ReplyBells:
    """The bells of this process's waiters, each hung up while somebody uses it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._bells: dict[str, tuple[ReplyBell, int]] = {}
        forks.guard(self)

    def take(self, reply_to: str) -> ReplyBell:
        """Return the bell of an address, hung up when it is not yet."""
        with self._lock:
            bell, user_count = self._bells.get(reply_to, (None, 0))
            if bell is None:
                bell = ReplyBell(self._store, reply_to)
            self._bells[reply_to] = bell, user_count + 1
            return bell

    def leave(self, reply_to: str) -> None:
        """Say that a waiter is through; the last one takes the bell down."""
        with self._lock:
            found = self._bells.pop(reply_to, None)
            if found is None:
                return
            bell, user_count = found
            if user_count > 1:
                self._bells[reply_to] = bell, user_count - 1
            else:
                bell.close()

    def before_fork(self) -> None:
        """Keep other threads out until the fork is over."""
        self._lock.acquire()

    def after_fork(self, *, is_child: bool) -> None:
        """The child has waiters of its own, if any."""
        if is_child:
            for bell, _ in self._bells.values():
                bell.abandon()
            self._bells.clear()
        self._lock.release()


class ResultWatch:
    """A wait for the records of some ids. Used by one thread.

    Its bell is hung up when it first sleeps: what was stored between the first look and then shows
    itself by the version, and for what is there at the first look no bell is needed.
    """

    def __init__(
        self, store: Store, bells: ReplyBells, task_ids: Sequence[str], reply_to: str
    ) -> None:
        self._store = store
        self._bells = bells
        self._task_ids = list(task_ids)
        self._reply_to = reply_to
        self._bell: ReplyBell | None = None
        self._ring_count = 0
        self._reader = store.main.watcher
        self._version = self._reader.version()
        self._stamps = self._stamps_now()
        self._look_s = _FIRST_LOOK_S
        self._is_closed = False

    def wait(self, timeout_s: float) -> None:
        """Sleep until one of the records may have changed, at most `timeout_s`."""
        if self._reply_to and self._bell is None and not self._is_closed:
            self._bell = self._bells.take(self._reply_to)
            self._ring_count = self._bell.ring_count
        left_s = timeout_s
        while not self._is_closed and not self._has_changed() and left_s > 0:
            slice_s = min(left_s, self._look_s)
            longest_s = _LONGEST_LOOK_S * max(1.0, len(self._task_ids) / _EASY_COUNT)
            self._look_s = min(self._look_s * 2, longest_s)
            left_s -= slice_s
            if self._bell is None:
                self._store.clock.sleep(slice_s)
            elif self._bell.wait(self._ring_count, slice_s):
                break
        else:
            return
        self._ring_count = self._bell.ring_count if self._bell else 0
        self._look_s = _FIRST_LOOK_S

    def close(self) -> None:
        """Stop watching. May be called twice."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._bell is not None:
            self._bells.leave(self._reply_to)

    def _has_changed(self) -> bool:
        version = self._reader.version()
        if version == self._version:
            return False
        self._version = version
        stamps = self._stamps_now()
        if stamps == self._stamps:
            return False
        self._stamps = stamps
        self._look_s = _FIRST_LOOK_S
        return True

    def _stamps_now(self) -> dict[str, tuple[str, float]]:
        return self._reader.read(partial(results.stamps, task_ids=self._task_ids))
