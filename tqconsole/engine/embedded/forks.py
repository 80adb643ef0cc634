"""What must happen around a fork to whoever holds a database or a bell.

SQLite keeps the locks of a process in memory that a fork copies: a child that opened the same
file again would trust locks that only its parent holds, and could write into a journal that the
parent deletes. So everything is closed before a fork and opened again on first use, on both sides.
The registry is process-wide because forks are.
"""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class ForkAware(Protocol):
    """Somebody with something that must not be carried over a fork."""

    def before_fork(self) -> None:
        """Take the locks and close what cannot be shared."""

    def after_fork(self, *, is_child: bool) -> None:
        """Release the locks; in the child forget what belongs to the parent."""


_holders: weakref.WeakSet[ForkAware] = weakref.WeakSet()
_held: list[ForkAware] = []


def guard(holder: ForkAware) -> None:
    """Tell `holder` of every fork from now on, as long as it lives."""
    _holders.add(holder)


def _before() -> None:
    _held[:] = list(_holders)
    for holder in _held:
        holder.before_fork()


def _in_parent() -> None:
    for holder in reversed(_held):
        holder.after_fork(is_child=False)
    _held.clear()


def _in_child() -> None:
    for holder in reversed(_held):
        holder.after_fork(is_child=True)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
