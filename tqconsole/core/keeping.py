"""Between a session's model and its files: what ended goes out, what earlier runs saw comes in.

Called by the UI's thread once a frame; it only turns rows into values and hands them over.
"""

from __future__ import annotations

from itertools import chain, islice

from tqconsole.core.facts import Told
from tqconsole.core.history import History
from tqconsole.core.history_file import values_of
from tqconsole.core.ingest import Arrived
from tqconsole.core.model_session import SessionModel
from tqconsole.core.recording import Recorder

#: Rows made ready in one frame: a millisecond's work, and four times what a big cluster ends.
ROWS_A_FRAME = 1000
#: Rows that had not ended, kept at an orderly end: what runs first.
OPEN_LIMIT = 5000


class Keeping:
    """Keeps one model's rows in its history, and what came in its recording, where it has one."""

    def __init__(
        self, model: SessionModel, history: History | None, recorder: Recorder | None = None
    ) -> None:
        self._model = model
        self._history = history
        self._recorder = recorder
        self._is_started = False
        self._link = ("", "")
        model.cluster.store.keeps_ended = history is not None

    def start(self) -> None:
        """Begin to read what is there, and to write."""
        self._is_started = True
        if self._history is not None:
            self._history.start()
        if self._recorder is not None:
            self._recorder.start(self._model.clock.now())

    def stop(self) -> None:
        """Hand over what is left, also what has not ended, and close. May be called twice."""
        was_started, self._is_started = self._is_started, False
        if not was_started:
            return
        if self._recorder is not None:
            self._recorder.stop()
        if self._history is not None:
            self._stop_history(self._history)

    def note_events(self, batch: Arrived) -> None:
        """Record a batch."""
        if self._recorder is not None:
            self._recorder.note_events(batch)

    def note_fact(self, fact: Told, now_at: float) -> None:
        """Record what was learned by asking."""
        if self._recorder is not None:
            self._recorder.note_fact(fact, now_at)

    def _stop_history(self, history: History) -> None:
        store = self._model.cluster.store
        rows = [*store.take_ended(len(store) + ROWS_A_FRAME)]
        open_rows = chain(store.running.values(), store.unfinished.values())
        rows += islice((row for row in open_rows if row.name), OPEN_LIMIT)
        history.put([values_of(row) for row in rows])
        history.stop()

    def keep(self, link: tuple[str, str]) -> bool:
        """Hand over what ended and how the link does; True when rows of earlier runs came in."""
        history, recorder = self._history, self._recorder
        notes = [each.note for each in (history, recorder) if each is not None and each.note]
        size = recorder.written_bytes if recorder is not None else None
        self._model.note_files("; ".join(notes), size)
        if recorder is not None and link != self._link:
            self._link = link
            recorder.note_link(*link, self._model.clock.now())
        return history is not None and self._keep_rows(history)

    def _keep_rows(self, history: History) -> bool:
        cluster = self._model.cluster
        ended = cluster.store.take_ended(ROWS_A_FRAME)
        if ended:
            history.put([values_of(row) for row in ended])
        past = history.take_past()
        if past is None:
            return False
        cluster.add_past(past)
        return bool(past)
