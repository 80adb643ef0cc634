"""The result store port: records in, records out, and a way to wait for one.

A store never decides what a record says: `protocol/result.py` encodes and decodes it. It keeps one
rule of its own: a stored SUCCESS is never overwritten. All calls are thread-safe.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from tqconsole.engine.exceptions import NotSupportedError
from tqconsole.engine.protocol.chord import ChordPart
from tqconsole.engine.protocol.transfer import ResultWrite


class Watch(abc.ABC):
    """A wait for records of some ids. Made before the calls are sent, so that nothing is missed."""

    #: True when what was there already is the first news: nobody need look before the first wait.
    has_looked: bool = False

    @abc.abstractmethod
    def wait(self, timeout_s: float) -> None:
        """Sleep until one of the watched records may have changed, or `timeout_s`."""

    @abc.abstractmethod
    def close(self) -> None:
        """Stop watching. May be called twice."""

    def end(self) -> None:
        """Stop watching records that are all ends: nothing more will be told of them."""
        self.close()


class Joiner(abc.ABC):
    """Where the parts of chords come back (wire.md §4.3). Every method is one atomic step.

    A part counts once, however often it comes. The part that completes its chord *holds* it: only
    its task, when it comes again, completes it once more, so that somebody always does and nobody
    does beside another. Keys are gone, or have a time to live, whatever happens. All calls raise
    OperationalError.
    """

    @abc.abstractmethod
    def open_chord(self, group_id: str, size: int, expires_s: float | None) -> None:
        """Expect `size` parts. Opening it again changes nothing that came back."""

    @abc.abstractmethod
    def grow_chord(self, group_id: str, task_id: str, expires_s: float | None) -> None:
        """Expect one part more, the one of this task; once, however often it is said."""

    @abc.abstractmethod
    def add_part(
        self, part: ChordPart, writes: Sequence[ResultWrite], expires_s: float | None
    ) -> bool:
        """Write the records and add the part; True when this task holds the complete chord."""

    @abc.abstractmethod
    def parts(self, group_id: str) -> list[bytes]:
        """Return the packed parts, in the order of their scores."""

    @abc.abstractmethod
    def close_chord(self, group_id: str) -> None:
        """Forget the parts. What comes from now on completes nothing."""

    @abc.abstractmethod
    def may_begin(self, key: str, mark: str, expires_s: float | None) -> bool:
        """True for the first mark that asks for a key, and for that one again."""


class Backend(abc.ABC):
    """A store of result records."""

    #: False for the disabled store: `get` raises, `store` drops.
    is_enabled: bool = True
    #: True when any process with the URL can read a record by its id (not rpc, not memory).
    is_readable_by_others: bool = True
    #: True when records go to who sent the call, whoever that is, and to nobody else (rpc).
    is_sent_to_callers: bool = False
    #: False where `put` and `get` are refused: groups and chords need a real store.
    can_keep_keys: bool = True
    #: Where chords come together; None: not in this store.
    joiner: Joiner | None = None

    @property
    @abc.abstractmethod
    def url(self) -> str:
        """The URL with its password as `**`, as banner and report print it."""

    @abc.abstractmethod
    def rides_on(self, place: str) -> bool:
        """True when a broker at `place` (`Broker.place`) can write this store's records in its own
        trip (`Riding.results`).
        """

    @abc.abstractmethod
    def store(self, writes: Sequence[ResultWrite]) -> None:
        """Write the records, in order. Raises: OperationalError."""

    @abc.abstractmethod
    def fetch(self, task_ids: Sequence[str]) -> dict[str, bytes]:
        """Return task_id -> encoded record for those that exist. Raises: OperationalError."""

    @abc.abstractmethod
    def forget(self, task_ids: Sequence[str]) -> None:
        """Delete records; unknown ids are fine."""

    def cleanup(self) -> None:  # noqa: B027 - a server drops what has expired by itself
        """Drop what has expired, now. Raises: OperationalError."""

    def expect(self, reply_to: str) -> None:  # noqa: B027 - most stores need no word of it
        """Called before calls are sent whose results are to come to `reply_to`: a store that sends
        them makes sure that the address exists. Raises: OperationalError.
        """

    @abc.abstractmethod
    def watch(self, task_ids: Sequence[str], reply_to: str) -> Watch:
        """Return a watch; `reply_to` is the address the calls carry."""

    @abc.abstractmethod
    def put(self, key: str, value: bytes, expires_s: float | None) -> None:
        """Store a value under a key of Celery's layout (groups, chords)."""

    @abc.abstractmethod
    def get(self, key: str) -> bytes | None:
        """Return the value of a key, None when absent."""

    @abc.abstractmethod
    def delete(self, keys: Sequence[str]) -> None:
        """Delete keys; unknown ones are fine."""

    def claim(self, key: str, value: bytes, expires_s: float) -> bytes:
        """Give the key this value unless it has one; return the one that it has then, in one step.

        Raises: NotSupportedError where nothing is shared.
        """
        self._refuse_shared()

    def release(self, key: str, value: bytes) -> bool:
        """Take the key's value away if it is this one; True when it was."""
        self._refuse_shared()

    def take_turns(self, key: str, count: int, step_s: float) -> float:
        """Take `count` turns, `step_s` apart, of those that all who know the key share; return in
        how many seconds the first of them is, by the store's clock.
        """
        self._refuse_shared()

    def _refuse_shared(self) -> NoReturn:
        raise NotSupportedError(
            f"{self.url} shares nothing between workers: unique tasks and rates of the whole"
            " cluster need redis:// or sqlite:// as result_backend"
        )

    @abc.abstractmethod
    def close(self) -> None:
        """Give up connections; a later call opens them again."""


#: How an adapter is made: (url, transport options) -> Backend.
BackendFactory = Callable[[str, dict[str, Any]], Backend]
