"""What became of a call: the door under Celery's name for this module."""

from __future__ import annotations

from tqconsole.engine.joining import (
    allow_join_result,
    assert_will_not_block,
    denied_join_result,
)
from tqconsole.engine.result_async import AsyncResult, result_from_tuple
from tqconsole.engine.result_eager import EagerResult
from tqconsole.engine.result_group import GroupResult
from tqconsole.engine.result_set import ResultSet

__all__ = [
    "AsyncResult",
    "EagerResult",
    "GroupResult",
    "ResultSet",
    "allow_join_result",
    "assert_will_not_block",
    "denied_join_result",
    "result_from_tuple",
]
