"""`redis://` results in Celery's keys (wire.md §4.2): SETEX, PUBLISH, never over a SUCCESS."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tqconsole.engine.backends.base import Backend, Watch
from tqconsole.engine.backends.redis_chords import RedisJoiner
from tqconsole.engine.clock import SYSTEM_CLOCK, Clock
from tqconsole.engine.exceptions import OperationalError
from tqconsole.engine.protocol.transfer import ResultWrite
from tqconsole.engine.redis_server import records
from tqconsole.engine.redis_server.address import locate
from tqconsole.engine.redis_server.ear import Ear
from tqconsole.engine.redis_server.link import Command, Link, Script

#: Seconds after which a waiter looks although nothing was told.
_BACKSTOP_S = 1.0
#: Records written, or keys read, in one step.
_CHUNK = 1_000
#: Records kept that were told and that nobody has asked for.
_MOST_HEARD = 1_000

_STORE = Script(records.STORE_ALL)


class RedisWatch(Watch):
    """A wait for records of some ids. What is there is asked for in the write that subscribes."""

    has_looked = True

    def __init__(
        self,
        ear: Ear,
        channels: Mapping[str, str],
        clock: Clock,
        heard: dict[str, bytes],
        release: Callable[[Ear], None],
    ) -> None:
        """`channels`: channel -> task id; `heard` gets the records that are told, by task id."""
        self._ear = ear
        self._channels = channels
        self._clock = clock
        self._heard = heard
        self._release = release
        self._is_closed = False
        ear.listen(tuple(channels))

    def wait(self, timeout_s: float) -> None:
        """See `Watch.wait`; a connection that broke is made anew, and the caller looks again."""
        if self._is_closed:
            return
        try:
            if not self._ear.is_open:
                self._ear.listen(tuple(self._channels))
                return
            self._listen(min(timeout_s, _BACKSTOP_S))
        except OperationalError:
            self._ear.close()
            self._clock.sleep(min(timeout_s, 0.1))

    def _listen(self, timeout_s: float) -> None:
        """Return when a record was told; the server's word that it listens is none."""
        deadline_mono = self._clock.mono() + timeout_s
        left_s = timeout_s
        while left_s > 0:
            if told := self._ear.take(left_s):
                for channel, record in told:
                    if len(self._heard) < _MOST_HEARD:
                        self._heard[self._channels[channel]] = record
                return
            left_s = deadline_mono - self._clock.mono()

    def end(self) -> None:
        """See `Watch.end`."""
        self._leave(is_over=True)

    def close(self) -> None:
        """See `Watch.close`."""
        self._leave(is_over=False)

    def _leave(self, *, is_over: bool) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        for task_id in self._channels.values():
            # What comes from now on is not heard: it would be the last word for ever.
            self._heard.pop(task_id, None)
        try:
            self._ear.leave(is_over=is_over)
        except OperationalError:
            return
        self._release(self._ear)


#: Scripts: what must not be taken apart by another client. Times in milliseconds and, for turns,
#: microseconds of the server's clock; a key of turns goes a minute after the last of them.
_CLAIM = """
local held = redis.call("GET", KEYS[1])
if held then return held end
redis.call("SET", KEYS[1], ARGV[1], "PX", ARGV[2])
return ARGV[1]
"""
_RELEASE = """
if redis.call("GET", KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call("DEL", KEYS[1])
"""
_TAKE_TURNS = """
local time = redis.call("TIME")
local now = time[1] * 1000000 + time[2]
local first = math.max(now, tonumber(redis.call("GET", KEYS[1]) or "0"))
local next = first + ARGV[1] * ARGV[2]
local life = math.ceil((next - now) / 1000) + 60000
redis.call("SET", KEYS[1], string.format("%.0f", next), "PX", life)
return string.format("%.0f", first - now)
"""


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
        #: A connection that nobody waits on is kept for the next who waits. A list takes and gives
        #: in one step, so that it needs no lock.
        self._spare: list[Ear] = []
        #: Records that were told and not asked for yet: nobody need read them again.
        self._heard: dict[str, bytes] = {}
        self._prefix = _key_prefix(self._address.options.get("global_keyprefix"))
        is_ordered = self._address.flag("result_chord_ordered", default=True)
        self.joiner = RedisJoiner(self._link, self._prefix, is_ordered=is_ordered)

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
        heard: dict[str, bytes] = {}
        if self._heard:
            for task_id in task_ids:
                # Another thread may take the same one: then it is read from the server.
                record = self._heard.pop(task_id, None)
                if record is not None:
                    heard[task_id] = record
        if len(heard) == len(task_ids):
            return heard
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
        try:
            ear = self._spare.pop()
        except IndexError:
            ear = Ear(self._address, self._clock)
        channels = {self._task_key(it): it for it in task_ids}
        return RedisWatch(ear, channels, self._clock, self._heard, self._take_back)

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

    def claim(self, key: str, value: bytes, expires_s: float) -> bytes:
        """See `Backend.claim`."""
        life_ms = max(1, round(expires_s * 1000))
        held: bytes = self._link.run("EVAL", _CLAIM, 1, self._prefix + key, value, life_ms)
        return held

    def release(self, key: str, value: bytes) -> bool:
        """See `Backend.release`."""
        return bool(self._link.run("EVAL", _RELEASE, 1, self._prefix + key, value))

    def take_turns(self, key: str, count: int, step_s: float) -> float:
        """See `Backend.take_turns`."""
        step_us = max(1, round(step_s * 1_000_000))
        wait_us = self._link.run("EVAL", _TAKE_TURNS, 1, self._prefix + key, count, step_us)
        return int(wait_us) / 1_000_000

    def close(self) -> None:
        """See `Backend.close`."""
        self._link.close()
        spare, self._spare = self._spare, []
        for ear in spare:
            ear.close()

    def _take_back(self, ear: Ear) -> None:
        if self._spare:
            ear.close()
        else:
            self._spare.append(ear)

    def _task_key(self, task_id: str) -> str:
        return f"{self._prefix}{records.KEY_PREFIX}{task_id}"


def _key_prefix(value: Any) -> str:
    """Return the prefix as Celery completes it."""
    prefix = str(value or "")
    return prefix if not prefix or prefix[-1] in ":_-." else f"{prefix}_"
