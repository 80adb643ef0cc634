"""`redis://` results in Celery's keys (wire.md §4.2): SETEX, PUBLISH, never over a SUCCESS."""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import hiredis

from tqconsole.engine.backends.base import Backend, Watch
from tqconsole.engine.clock import SYSTEM_CLOCK, Clock
from tqconsole.engine.exceptions import OperationalError
from tqconsole.engine.protocol.transfer import ResultWrite
from tqconsole.engine.redis_server import records
from tqconsole.engine.redis_server.address import locate
from tqconsole.engine.redis_server.link import Command, Link, Script

#: Seconds after which a waiter looks although nothing was told.
_BACKSTOP_S = 1.0
#: Records written, or keys read, in one step.
_CHUNK = 1_000
#: Records kept that were told and that nobody has asked for.
_MOST_HEARD = 1_000

_marks = itertools.count()
_STORE = Script(records.STORE_ALL)


class RedisWatch(Watch):
    """A wait for records of some ids. What is there is asked for in the write that subscribes."""

    has_looked = True

    def __init__(
        self,
        link: Link,
        channels: Sequence[str],
        clock: Clock,
        hear: Callable[[str, bytes | None], None],
        release: Callable[[Link], None],
    ) -> None:
        self._link = link
        self._channels = channels
        self._clock = clock
        self._hear = hear
        self._release = release
        self._is_closed = False
        self._mark = b""
        self._awaited: deque[Sequence[str]] = deque()
        self._subscribe()

    def wait(self, timeout_s: float) -> None:
        """See `Watch.wait`; a connection that broke is made anew, and the caller looks again."""
        if self._is_closed:
            return
        try:
            if not self._link.is_open:
                self._subscribe()
                return
            self._listen(min(timeout_s, _BACKSTOP_S))
        except OperationalError:
            self._link.close()
            self._clock.sleep(min(timeout_s, 0.1))

    def _listen(self, timeout_s: float) -> None:
        """Return when a record was told; the server's word that it listens is none."""
        deadline_mono = self._clock.mono() + timeout_s
        is_told = False
        while not is_told and (left_s := deadline_mono - self._clock.mono()) > 0:
            for answer in self._link.receive(left_s):
                is_told |= self._take(answer)

    def _take(self, answer: Any) -> bool:
        """Take in one answer; True when it told of a record."""
        if isinstance(answer, hiredis.PushNotification):
            if answer[0] != b"message":
                return False
            self._hear(answer[1].decode(errors="replace"), answer[2])
            return True
        if answer == self._mark:
            # What comes next is ours; before it came what an earlier watch has asked.
            self._mark = b""
            chunks = range(0, len(self._channels), _CHUNK)
            self._awaited.extend(self._channels[at : at + _CHUNK] for at in chunks)
            return False
        if not (self._awaited and isinstance(answer, list)):
            return False
        found = [it for it in zip(self._awaited.popleft(), answer, strict=True) if it[1]]
        for channel, record in found:
            self._hear(channel, record)
        return bool(found)

    def close(self) -> None:
        """See `Watch.close`."""
        if self._is_closed:
            return
        self._is_closed = True
        for channel in self._channels:
            # What comes from now on is not heard: it would be the last word for ever.
            self._hear(channel, None)
        try:
            self._link.send([("UNSUBSCRIBE",)])
        except OperationalError:
            return
        self._release(self._link)

    def _subscribe(self) -> None:
        self._link.connect()
        self._mark = b"tq%d" % next(_marks)
        self._awaited.clear()
        chunks = [self._channels[at : at + _CHUNK] for at in range(0, len(self._channels), _CHUNK)]
        # A record's key is its channel.
        self._link.send(
            [
                *(("SUBSCRIBE", *names) for names in chunks),
                ("ECHO", self._mark),
                *(("MGET", *names) for names in chunks),
            ]
        )


class RedisBackend(Backend):
    """Results in a Redis server. `url` as in `redis_server/address.py`."""

    def __init__(
        self, url: str, options: Mapping[str, Any] | None = None, *, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._address = locate(url, options)
        self._clock = clock
        # A record may be written or read twice: it is the same.
        repeats_timeouts = self._address.flag("retry_on_timeout", default=False)
        self._link = Link(self._address, clock, repeats_timeouts=repeats_timeouts)
        # A connection that nobody waits on is kept for the next who waits.
        self._spare: list[Link] = []
        self._spare_lock = threading.Lock()
        #: Records that were told and not asked for yet: nobody need read them again.
        self._heard: dict[str, bytes] = {}
        self._prefix = _key_prefix(self._address.options.get("global_keyprefix"))

    @property
    def url(self) -> str:
        """See `Backend.url`."""
        return self._address.url

    def rides_on(self, place: str) -> bool:
        """See `Backend.rides_on`: the same database, in Celery's plain keys."""
        return place == self._address.place and not self._prefix

    def store(self, writes: Sequence[ResultWrite]) -> None:
        """See `Backend.store`."""
        for at in range(0, len(writes), _CHUNK):
            chunk = writes[at : at + _CHUNK]
            self._link.script(_STORE, records.arguments(chunk, self._prefix))

    def fetch(self, task_ids: Sequence[str]) -> dict[str, bytes]:
        """See `Backend.fetch`."""
        heard = self._take_heard(task_ids) if self._heard else {}
        wanted = [task_id for task_id in task_ids if task_id not in heard]
        commands: list[Command] = [
            ("MGET", *map(self._task_key, wanted[at : at + _CHUNK]))
            for at in range(0, len(wanted), _CHUNK)
        ]
        found = [value for page in self._link.ask(commands) for value in page] if wanted else []
        stored = {
            task_id: value
            for task_id, value in zip(wanted, found, strict=True)
            if value is not None
        }
        return {**heard, **stored} if heard else stored

    def forget(self, task_ids: Sequence[str]) -> None:
        """See `Backend.forget`."""
        if task_ids:
            self._link.run("DEL", *map(self._task_key, task_ids))

    def watch(self, task_ids: Sequence[str], reply_to: str) -> RedisWatch:
        """See `Backend.watch`: by the records' own channels; nobody needs the address."""
        del reply_to
        with self._spare_lock:
            link = self._spare.pop() if self._spare else Link(self._address, self._clock)
        channels = [self._task_key(it) for it in task_ids]
        return RedisWatch(link, channels, self._clock, self._hear, self._take_back)

    def put(self, key: str, value: bytes, expires_s: float | None) -> None:
        """See `Backend.put`."""
        life = ("EX", max(1, round(expires_s))) if expires_s else ()
        self._link.run("SET", self._prefix + key, value, *life)

    def get(self, key: str) -> bytes | None:
        """See `Backend.get`."""
        value: bytes | None = self._link.run("GET", self._prefix + key)
        return value

    def delete(self, keys: Sequence[str]) -> None:
        """See `Backend.delete`."""
        if keys:
            self._link.run("DEL", *(self._prefix + key for key in keys))

    def close(self) -> None:
        """See `Backend.close`."""
        self._link.close()
        with self._spare_lock:
            spare, self._spare = self._spare, []
        for link in spare:
            link.close()

    def _hear(self, channel: str, record: bytes | None) -> None:
        task_id = channel.removeprefix(self._task_key(""))
        if record is None:
            self._heard.pop(task_id, None)
        elif len(self._heard) < _MOST_HEARD:
            self._heard[task_id] = record

    def _take_heard(self, task_ids: Sequence[str]) -> dict[str, bytes]:
        # Another thread may take the same one: then it is read from the server.
        taken = {task_id: self._heard.pop(task_id, None) for task_id in task_ids}
        return {task_id: record for task_id, record in taken.items() if record is not None}

    def _take_back(self, link: Link) -> None:
        with self._spare_lock:
            if not self._spare:
                self._spare.append(link)
                return
        link.close()

    def _task_key(self, task_id: str) -> str:
        return f"{self._prefix}{records.KEY_PREFIX}{task_id}"


def _key_prefix(value: Any) -> str:
    """Return the prefix as Celery completes it."""
    prefix = str(value or "")
    return prefix if not prefix or prefix[-1] in ":_-." else f"{prefix}_"
