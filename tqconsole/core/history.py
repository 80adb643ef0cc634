"""Keeps the tasks of a cluster over restarts of the console, in a thread of its own.

At the start it reads what earlier runs have left and hands it over as one piece; then it writes
what it is given, in batches. The UI's thread only puts values in and takes the past out: whatever
happens to the file (locked, damaged, disk full) shows in `note`, and the console goes on.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections import deque
from collections.abc import Iterable
from pathlib import Path

from tqconsole.core.history_file import BYTES_LIMIT, ROWS_LIMIT, HistoryFile, Values
from tqconsole.core.sanitize import clean
from tqconsole.core.views import TaskRow

logger = logging.getLogger(__name__)

#: Seconds between two writes, and between two tries of a file that could not be used.
WRITE_S = 1.0
#: Rows of one transaction: other threads run between two.
ROWS_AT_ONCE = 500
#: Rows that wait for a file which cannot be written; then the oldest go.
WAITING_LIMIT = 50_000
#: Seconds that the end waits for the last rows.
STOP_S = 5.0


class History:
    """Reads and writes one cluster's file between `start` and `stop`."""

    def __init__(
        self, path: Path, *, rows_limit: int = ROWS_LIMIT, bytes_limit: int = BYTES_LIMIT
    ) -> None:
        self.path = path
        self.rows_limit = rows_limit
        #: What is wrong with the file, "" while nothing is; cleaned.
        self.note = ""
        #: Rows that were let go because the file could not be written.
        self.unwritten_count = 0
        self._bytes_limit = bytes_limit
        self._wake = threading.Condition()
        self._waiting: deque[Values] = deque()
        self._past: list[TaskRow] | None = None
        self._is_stopping = False
        self._is_over = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to read, then to write; returns at once."""
        self._thread = threading.Thread(target=self._run, name="tqconsole-history", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Write what waits, if it can be written, and end. May be called twice."""
        with self._wake:
            self._is_stopping = True
            self._wake.notify_all()
        if self._thread is not None:
            self._thread.join(timeout=STOP_S)
            self._thread = None

    def put(self, rows: Iterable[Values]) -> None:
        """Give rows to be written (`history_file.values_of`)."""
        with self._wake:
            if self._is_over:
                return
            self._waiting.extend(rows)
            while len(self._waiting) > WAITING_LIMIT:
                self._waiting.popleft()
                self.unwritten_count += 1

    def take_past(self) -> list[TaskRow] | None:
        """Return the rows of earlier runs, oldest first: once, and None before and after."""
        past, self._past = self._past, None
        return past

    def _run(self) -> None:
        file: HistoryFile | None = None
        while True:
            try:
                if file is None:
                    file = HistoryFile(
                        self.path, rows_limit=self.rows_limit, bytes_limit=self._bytes_limit
                    )
                    # Newest first is how they are found, oldest first how the store has them.
                    self._past = list(file.load())[::-1]
                self._write(file)
                self.note = ""
            except Exception as error:  # noqa: BLE001 - the edge: history is off or late, no more
                if self._has_ended_by(error):
                    break
            with self._wake:
                if self._is_stopping:
                    break
                self._wake.wait(WRITE_S)
        with self._wake:
            self._is_over = True
            self._waiting.clear()
        if file is not None:
            file.close()

    def _write(self, file: HistoryFile) -> None:
        """Write all that waits; what could not be written waits on."""
        while True:
            with self._wake:
                count = min(ROWS_AT_ONCE, len(self._waiting))
                rows = [self._waiting.popleft() for _ in range(count)]
            if not rows:
                return
            try:
                file.save(rows)
            except BaseException:
                with self._wake:
                    self._waiting.extendleft(reversed(rows))
                raise

    def _has_ended_by(self, error: Exception) -> bool:
        """Say what is wrong; True when trying again is of no use."""
        text = clean(str(error) or type(error).__name__, 200)
        if isinstance(error, sqlite3.OperationalError | OSError):
            waiting = len(self._waiting)
            lost = f", {self.unwritten_count:,} let go" if self.unwritten_count else ""
            self.note = f"history waits ({waiting:,} rows{lost}): {self.path}: {text}"
            return False
        logger.warning("history is off: %s", text, exc_info=error)
        self.note = f"history is off: {self.path}: {text}; `tqconsole history clear` removes it"
        return True
