"""Whether this thread may wait for results: inside a task it may not, unless it says so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tqconsole.engine import current

_FORBIDDEN = (
    "Never call result.get() within a task: it holds a slot that the other task may need, and with "
    "all slots held so nothing goes on. Link the tasks, or wait inside `allow_join_result()`."
)


@contextmanager
def allow_join_result() -> Iterator[None]:
    """Allow waiting for results inside a task, in this thread."""
    before = current.allow_joining(is_allowed=True)
    try:
        yield
    finally:
        current.allow_joining(is_allowed=before)


@contextmanager
def denied_join_result() -> Iterator[None]:
    """Forbid it again within `allow_join_result`."""
    before = current.allow_joining(is_allowed=False)
    try:
        yield
    finally:
        current.allow_joining(is_allowed=before)


def assert_will_not_block() -> None:
    """Raise RuntimeError inside a task that may not wait for another."""
    if current.is_joining_forbidden():
        raise RuntimeError(_FORBIDDEN)
