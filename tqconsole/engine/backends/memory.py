"""`cache+memory://`: results in this process only, for tests and for a solo worker in a thread.

Every store opened under one URL shares one table, as Celery's memory cache does.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from typing import Any

from tqconsole.engine import states
from tqconsole.engine.backends.base import Backend, Joiner, Watch
from tqconsole.engine.clock import SYSTEM_CLOCK, Clock
from tqconsole.engine.protocol.chord import ChordPart
from tqconsole.engine.protocol.transfer import ResultWrite

#: Marks of messages that began, kept to know their twins; the oldest go first.
_MOST_MARKS = 10_000


class _Table:
    """Records and keyed values with their expiry; one condition tells of every change."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.version = 0
        self.records: dict[str, tuple[str, bytes, float | None]] = {}
        self.values: dict[str, tuple[bytes, float | None]] = {}
        self.chords: dict[str, _Chord] = {}
        self.marks: dict[str, str] = {}


class _Chord:
    """What came back of one chord."""

    def __init__(self) -> None:
        self.size: int | None = None
        self.parts: dict[tuple[float, str], bytes] = {}
        self.added: set[str] = set()
        self.holder = ""


_TABLES: dict[str, _Table] = {}


class MemoryBackend(Backend):
    """Records of this process. Lives as long as the process does."""

    is_readable_by_others = False

    def __init__(
        self, url: str, options: dict[str, Any] | None = None, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._url = url
        self._options = options or {}
        self._clock = clock
        self._table = _TABLES.setdefault(url, _Table())
        self.joiner = MemoryJoiner(self, self._table)

    @property
    def url(self) -> str:
        """The URL; it has no password."""
        return self._url

    def rides_on(self, place: str) -> bool:
        """Never: no broker writes into this table."""
        del place
        return False

    def store(self, writes: Sequence[ResultWrite]) -> None:
        """Write the records, except over a SUCCESS."""
        table = self._table
        with table.changed:
            for write in writes:
                held = self._alive(table.records.get(write.task_id))
                if held is None or held[0] != states.SUCCESS:
                    table.records[write.task_id] = (
                        write.state,
                        write.record,
                        self._until(write.expires_s),
                    )
            table.version += 1
            table.changed.notify_all()

    def fetch(self, task_ids: Sequence[str]) -> dict[str, bytes]:
        """Return the records that exist and have not expired."""
        with self._table.changed:
            held = {task_id: self._alive(self._table.records.get(task_id)) for task_id in task_ids}
        return {task_id: record[1] for task_id, record in held.items() if record is not None}

    def cleanup(self) -> None:
        """See `Backend.cleanup`."""
        now_at = self._clock.now()
        with self._table.changed:
            for held in (self._table.records, self._table.values):
                # Both end with the instant until which they are kept.
                over = [key for key, value in held.items() if (value[-1] or math.inf) <= now_at]
                for key in over:
                    del held[key]

    def forget(self, task_ids: Sequence[str]) -> None:
        """Delete records."""
        with self._table.changed:
            for task_id in task_ids:
                self._table.records.pop(task_id, None)

    def watch(self, task_ids: Sequence[str], reply_to: str) -> Watch:
        """Return a watch on the whole table: every change wakes it."""
        del task_ids, reply_to
        return _MemoryWatch(self._table)

    def put(self, key: str, value: bytes, expires_s: float | None) -> None:
        """Keep a value."""
        with self._table.changed:
            self._table.values[key] = (value, self._until(expires_s))

    def get(self, key: str) -> bytes | None:
        """Return a value that has not expired."""
        with self._table.changed:
            held = self._table.values.get(key)
        if held is None or (held[1] is not None and held[1] <= self._clock.now()):
            return None
        return held[0]

    def claim(self, key: str, value: bytes, expires_s: float) -> bytes:
        """See `Backend.claim`."""
        with self._table.changed:
            held = self.get(key)
            if held is None:
                self.put(key, value, expires_s)
            return held or value

    def release(self, key: str, value: bytes) -> bool:
        """See `Backend.release`."""
        with self._table.changed:
            is_ours = self.get(key) == value
            if is_ours:
                self.delete([key])
            return is_ours

    def take_turns(self, key: str, count: int, step_s: float) -> float:
        """See `Backend.take_turns`."""
        with self._table.changed:
            now_at = self._clock.now()
            first_at = max(now_at, float(self.get(key) or 0))
            self.put(key, repr(first_at + count * step_s).encode(), None)
            return first_at - now_at

    def delete(self, keys: Sequence[str]) -> None:
        """Drop values."""
        with self._table.changed:
            for key in keys:
                self._table.values.pop(key, None)

    def close(self) -> None:
        """Nothing is open; the table stays for the process's other stores."""

    def _until(self, expires_s: float | None) -> float | None:
        return self._clock.now() + expires_s if expires_s else None

    def _alive(
        self, held: tuple[str, bytes, float | None] | None
    ) -> tuple[str, bytes, float | None] | None:
        if held is None or (held[2] is not None and held[2] <= self._clock.now()):
            return None
        return held


class _MemoryWatch(Watch):
    def __init__(self, table: _Table) -> None:
        self._table = table
        self._seen = table.version

    def wait(self, timeout_s: float) -> None:
        """Sleep until the table changed since the last wait."""
        with self._table.changed:
            self._table.changed.wait_for(lambda: self._table.version != self._seen, timeout_s)
            self._seen = self._table.version

    def close(self) -> None:
        """Nothing to give up."""


class MemoryJoiner(Joiner):
    """Chords of this process. They live as long as it does, or until they are closed."""

    def __init__(self, backend: MemoryBackend, table: _Table) -> None:
        self._backend = backend
        self._table = table

    def open_chord(self, group_id: str, size: int, expires_s: float | None) -> None:
        """See `Joiner.open_chord`."""
        with self._table.changed:
            self._table.chords.setdefault(group_id, _Chord()).size = size

    def grow_chord(self, group_id: str, task_id: str, expires_s: float | None) -> None:
        """See `Joiner.grow_chord`."""
        with self._table.changed:
            self._table.chords.setdefault(group_id, _Chord()).added.add(task_id)

    def add_part(
        self, part: ChordPart, writes: Sequence[ResultWrite], expires_s: float | None
    ) -> bool:
        """See `Joiner.add_part`."""
        self._backend.store(writes)
        with self._table.changed:
            chord = self._table.chords.get(part.group_id)
            if chord is None or chord.size is None:
                return False
            chord.parts.setdefault((float(part.score), part.task_id), part.packed)
            if len(chord.parts) < chord.size + len(chord.added):
                return False
            chord.holder = chord.holder or part.task_id
            return chord.holder == part.task_id

    def parts(self, group_id: str) -> list[bytes]:
        """See `Joiner.parts`."""
        with self._table.changed:
            chord = self._table.chords.get(group_id) or _Chord()
            return [chord.parts[key] for key in sorted(chord.parts)]

    def close_chord(self, group_id: str) -> None:
        """See `Joiner.close_chord`."""
        with self._table.changed:
            self._table.chords.pop(group_id, None)

    def may_begin(self, key: str, mark: str, expires_s: float | None) -> bool:
        """See `Joiner.may_begin`."""
        marks = self._table.marks
        with self._table.changed:
            held = marks.setdefault(key, mark)
            if len(marks) > _MOST_MARKS:
                del marks[next(iter(marks))]
        return held == mark
