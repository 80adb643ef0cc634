"""What must happen around a fork to whoever holds a database or a bell.

SQLite keeps the locks of a process in memory that a fork copies: a child that opened the same
file again would trust locks that only its parent holds, and could write into a journal that the
parent deletes. And whatever SQLite is doing in another thread at that moment stays half done in the
child, its memory locked for good. So every connection is closed before a fork, no thread gets into
SQLite until it is over, and both sides open again on first use.
The registry is process-wide because forks are.
"""

from __future__ import annotations

import enum
import os
import threading
import weakref
from typing import Protocol


class Turn(enum.IntEnum):
    """Whose lock is taken first. Who holds a lock may wait for one of a later turn, never of an
    earlier: in the same order a fork takes them all.
    """

    WAITER = 0
    READER = 1
    WRITER = 2


class ForkAware(Protocol):
    """Somebody with something that must not be carried over a fork."""

    def before_fork(self) -> None:
        """Take the locks and close what cannot be shared."""

    def after_fork(self, *, is_child: bool) -> None:
        """Release the locks; in the child forget what belongs to the parent."""


#: Held by a fork from its beginning to its end. Whoever makes a holder takes it around the making,
#: and no lock of another holder's, so that none can come about that a fork does not know.
making = threading.RLock()

_holders: weakref.WeakKeyDictionary[ForkAware, Turn] = weakref.WeakKeyDictionary()
_held: list[ForkAware] = []


def guard(holder: ForkAware, turn: Turn = Turn.WAITER) -> None:
    """Tell `holder` of every fork from now on, as long as it lives."""
    with making:
        _holders[holder] = turn


def _before() -> None:
    making.acquire()
    known = sorted(_holders.items(), key=lambda it: it[1])
    _held[:] = [holder for holder, _ in known]
    for holder in _held:
        holder.before_fork()


def _in_parent() -> None:
    _release(is_child=False)


def _in_child() -> None:
    _release(is_child=True)


def _release(*, is_child: bool) -> None:
    for holder in reversed(_held):
        holder.after_fork(is_child=is_child)
    _held.clear()
    making.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
