"""Results in the embedded store: the port on top of `engine/embedded`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from tqconsole.engine.backends.base import Backend, Joiner, Watch
from tqconsole.engine.clock import SYSTEM_CLOCK, Clock
from tqconsole.engine.embedded import chords, results
from tqconsole.engine.embedded.location import locate
from tqconsole.engine.embedded.store import Store, open_store
from tqconsole.engine.embedded.sweep import sweep
from tqconsole.engine.embedded.watch import ReplyBells, ResultWatch
from tqconsole.engine.protocol.chord import ChordPart
from tqconsole.engine.protocol.transfer import ResultWrite


class SqliteWatch(Watch):
    """A wait for records of the embedded store."""

    def __init__(self, watch: ResultWatch) -> None:
        self._watch = watch

    def wait(self, timeout_s: float) -> None:
        """See `Watch.wait`."""
        self._watch.wait(timeout_s)

    def close(self) -> None:
        """See `Watch.close`."""
        self._watch.close()


class SqliteJoiner(Joiner):
    """Chords of one file. Only the records of what ended must outlive a power cut at once: the rest
    is written before them.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def open_chord(self, group_id: str, size: int, expires_s: float | None) -> None:
        """See `Joiner.open_chord`."""
        self._store.main.write(lambda it: chords.open_chord(it, group_id, size, expires_s))

    def grow_chord(self, group_id: str, task_id: str, expires_s: float | None) -> None:
        """See `Joiner.grow_chord`."""
        self._store.main.write(lambda it: chords.grow_chord(it, group_id, task_id, expires_s))

    def add_part(
        self, part: ChordPart, writes: Sequence[ResultWrite], expires_s: float | None
    ) -> bool:
        """See `Joiner.add_part`."""
        bells = str(self._store.bells())
        return self._store.main.write(
            lambda it: chords.add_part(it, part, writes, expires_s, bells), is_durable=bool(writes)
        )

    def parts(self, group_id: str) -> list[bytes]:
        """See `Joiner.parts`."""
        return self._store.main.write(lambda it: chords.parts(it, group_id))

    def close_chord(self, group_id: str) -> None:
        """See `Joiner.close_chord`."""
        self._store.main.write(lambda it: chords.close_chord(it, group_id))

    def may_begin(self, key: str, mark: str, expires_s: float | None) -> bool:
        """See `Joiner.may_begin`."""
        return self._store.main.write(lambda it: chords.may_begin(it, key, mark, expires_s))


class SqliteBackend(Backend):
    """Results in one file of this machine. `url` as in `embedded/location.py`."""

    def __init__(
        self, url: str, options: Mapping[str, Any] | None = None, *, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._location = locate(url, options)
        self._store = open_store(self._location, clock)
        self._bells = ReplyBells(self._store)
        self.joiner = SqliteJoiner(self._store)

    @property
    def url(self) -> str:
        """See `Backend.url`; there is no password in it."""
        return self._location.url

    def rides_on(self, place: str) -> bool:
        """See `Backend.rides_on`: the same file."""
        return place == self._location.place

    def store(self, writes: Sequence[ResultWrite]) -> None:
        """See `Backend.store`: on the disk when this returns."""
        if writes:
            bells = str(self._store.bells())
            self._store.main.write(lambda it: results.write(it, writes, bells), is_durable=True)

    def fetch(self, task_ids: Sequence[str]) -> dict[str, bytes]:
        """See `Backend.fetch`."""
        now_at = self._store.clock.now()
        return self._store.main.read(lambda it: results.fetched(it, task_ids, now_at))

    def cleanup(self) -> None:
        """See `Backend.cleanup`; workers do so every 30 seconds."""
        sweep(self._store)

    def forget(self, task_ids: Sequence[str]) -> None:
        """See `Backend.forget`."""
        if task_ids:
            self._store.main.write(lambda it: results.forget(it, task_ids))

    def watch(self, task_ids: Sequence[str], reply_to: str) -> SqliteWatch:
        """See `Backend.watch`."""
        return SqliteWatch(ResultWatch(self._store, self._bells, task_ids, reply_to))

    def put(self, key: str, value: bytes, expires_s: float | None) -> None:
        """See `Backend.put`."""
        self._store.main.write(lambda it: results.put(it, key, value, expires_s), is_durable=True)

    def get(self, key: str) -> bytes | None:
        """See `Backend.get`."""
        return self._store.main.read(
            partial(results.value_of, key=key, now_at=self._store.clock.now())
        )

    def delete(self, keys: Sequence[str]) -> None:
        """See `Backend.delete`."""
        if keys:
            self._store.main.write(lambda it: results.delete(it, keys))

    def claim(self, key: str, value: bytes, expires_s: float) -> bytes:
        """See `Backend.claim`."""
        return self._store.main.write(
            lambda it: results.claim(it, key, value, expires_s), is_durable=True
        )

    def release(self, key: str, value: bytes) -> bool:
        """See `Backend.release`."""
        return self._store.main.write(lambda it: results.release(it, key, value))

    def take_turns(self, key: str, count: int, step_s: float) -> float:
        """See `Backend.take_turns`."""
        return self._store.main.write(lambda it: results.take_turns(it, key, count, step_s))

    def close(self) -> None:
        """See `Backend.close`."""
        self._store.close()
