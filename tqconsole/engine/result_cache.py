"""Results that a client keeps, `result_cache_max` of them: who asks again asks no store.

A value only, as in Celery: nothing else is the last word on a call for ever.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tqconsole.engine.protocol.result import ResultRecord


class ResultCache:
    """The records that were used last. Thread-safe."""

    def __init__(self, most_count: int) -> None:
        """`most_count`: 0 for as many as there are."""
        self._most_count = most_count
        self._lock = threading.Lock()
        self._records: OrderedDict[str, ResultRecord] = OrderedDict()

    def get(self, task_id: str) -> ResultRecord | None:
        """Return a call's record, None when it is not kept."""
        with self._lock:
            record = self._records.get(task_id)
            if record is not None:
                self._records.move_to_end(task_id)
            return record

    def put(self, record: ResultRecord) -> None:
        """Keep a record; the one that was not used for longest goes."""
        with self._lock:
            self._records[record.task_id] = record
            self._records.move_to_end(record.task_id)
            if self._most_count and len(self._records) > self._most_count:
                self._records.popitem(last=False)

    def forget(self, task_id: str) -> None:
        """Keep it no longer; it need not be known."""
        with self._lock:
            self._records.pop(task_id, None)
