"""Between a session's model and its files: what ended goes out, what earlier runs saw comes in.

Called by the UI's thread once a frame; it only turns rows into values and hands them over.
"""

from __future__ import annotations

from itertools import chain, islice

from tqconsole.core.history import History
from tqconsole.core.history_file import values_of
from tqconsole.core.model_session import SessionModel

#: Rows made ready in one frame: a millisecond's work, and four times what a big cluster ends.
ROWS_A_FRAME = 1000
#: Rows that had not ended, kept at an orderly end: what runs first.
OPEN_LIMIT = 5000


class Keeping:
    """Keeps one model's rows in its history, if it has one."""

    def __init__(self, model: SessionModel, history: History | None) -> None:
        self._model = model
        self._history = history
        self._is_started = False
        model.cluster.store.keeps_ended = history is not None

    def start(self) -> None:
        """Begin to read what is there."""
        if self._history is not None:
            self._history.start()
            self._is_started = True

    def stop(self) -> None:
        """Hand over what is left, also what has not ended, and close. May be called twice."""
        history, store = self._history, self._model.cluster.store
        if history is None or not self._is_started:
            return
        self._is_started = False
        rows = [*store.take_ended(len(store) + ROWS_A_FRAME)]
        open_rows = chain(store.running.values(), store.unfinished.values())
        rows += islice((row for row in open_rows if row.name), OPEN_LIMIT)
        history.put([values_of(row) for row in rows])
        history.stop()

    def keep(self) -> bool:
        """Hand over what ended; True when rows of earlier runs came in."""
        history = self._history
        if history is None:
            return False
        self._model.note_files(history.note)
        cluster = self._model.cluster
        ended = cluster.store.take_ended(ROWS_A_FRAME)
        if ended:
            history.put([values_of(row) for row in ended])
        past = history.take_past()
        if past is None:
            return False
        cluster.add_past(past)
        return bool(past)
