"""New ids: random UUIDs as text, made without the cost of a UUID object."""

from __future__ import annotations

import itertools
import os
import random

from tqconsole.engine.fork_locks import own_pid

#: Any digit -> the digit of the same last two bits that says which kind of UUID it is.
_VARIANTS = dict(zip("0123456789abcdef", "89ab" * 4, strict=True))


def new_id() -> str:
    """Return a random UUID (version 4) as Celery writes ids. Safe after a fork."""
    return _as_uuid(os.urandom(16).hex())


class _Series:
    """Ids of one process: each has its number."""

    def __init__(self) -> None:
        self._pid, self._head = 0, ""
        self._numbers = itertools.count(1)

    def next(self) -> str:
        if self._pid != own_pid():
            # The head first: another thread that finds the pid right uses it.
            self._head, self._pid = new_id(), own_pid()
        return f"{self._head}.{next(self._numbers)}"


_series = _Series()


def numbered_id() -> str:
    """Return an id that is given once, here and elsewhere: a UUID of this process and a number.

    For what nobody need not guess: it costs a third of a random one. Safe after a fork.
    """
    return _series.next()


def derived_id(text: str) -> str:
    """Return an id that is the same for the same text, in every process."""
    # Seeded with text it is a hash (SHA-512), and `random` is there already.
    return _as_uuid(random.Random(text).randbytes(16).hex())  # noqa: S311 - no secret


def _as_uuid(digits: str) -> str:
    return (
        f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-"
        f"{_VARIANTS[digits[16]]}{digits[17:20]}-{digits[20:]}"
    )
