"""Locks that a fork's child finds free, and who this process is.

A lock that another thread held when the process was forked stays held in the child for ever: the
thread that would free it is not there. What the locks of the engine guard can be made anew, so each
child gets new ones. Kept at the lowest floor, since every floor has locks.

What belongs to one process has to know whether it still is in it, several times for each message:
`own_pid` says so without asking the system.
"""

from __future__ import annotations

import itertools
import os
import threading
import weakref
from collections.abc import Callable
from typing import Any

#: Number -> an owner, its attribute, and what the lock is made with; process-wide as forks are.
_given: dict[int, tuple[weakref.ref[Any], str, Callable[[], Any]]] = {}
_numbers = itertools.count()
#: This process, alone in its list.
_own_pids = [os.getpid()]


def give_lock(owner: Any, name: str, make: Callable[[], Any] = threading.RLock) -> None:
    """Give an object a lock under this name of its own, and a new one in every fork's child."""
    number = next(_numbers)
    owner.__dict__[name] = make()
    _given[number] = weakref.ref(owner, lambda _: _given.pop(number, None)), name, make


def own_pid() -> int:
    """Return `os.getpid()`."""
    return _own_pids[0]


def _renew() -> None:
    _own_pids[0] = os.getpid()
    for reference, name, make in list(_given.values()):
        owner = reference()
        if owner is not None:
            owner.__dict__[name] = make()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
