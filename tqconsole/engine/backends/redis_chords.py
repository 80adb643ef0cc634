"""Chords in a Redis server, in Celery's keys: either engine's workers may return each part.

`.j` holds the parts, `.d` which came (Celery 5.7's filter), `.s` how many there are to be, `.t` how
many were added, `.c` who sends the body: Celery's token or ours, then "done" (wire.md §4.2). Ours
alone are `.x`, which parts were added, and `.b` and its like: which of two messages may begin.
"""

from __future__ import annotations

from collections.abc import Sequence

from tqconsole.engine.backends.base import Joiner
from tqconsole.engine.protocol.chord import ChordPart, group_key
from tqconsole.engine.protocol.transfer import ResultWrite
from tqconsole.engine.redis_server import chord_ends, records
from tqconsole.engine.redis_server.link import Link, Script

#: Seconds for which a chord is its holder's. It is shorter than a worker's lease: when the holder's
#: part comes again because its worker died, also a Celery worker may complete the chord.
_CLAIM_S = 10
#: Seconds that a mark is kept where results are kept for ever.
_MARK_S = 86_400

_READ = """
local call = redis.call
local at_word = 0
local function take() at_word = at_word + 1; return ARGV[at_word] end
"""

_OPEN = Script(
    _READ
    + """
local base, size, seconds = take(), take(), take()
if call('EXISTS', base .. '.j') == 0 then call('DEL', base .. '.c') end
call('SET', base .. '.s', size)
if seconds ~= '0' then call('EXPIRE', base .. '.s', seconds) end
"""
)

_GROW = Script(
    _READ
    + """
local base, task_id, seconds = take(), take(), take()
if call('SADD', base .. '.x', task_id) == 1 then call('INCR', base .. '.t') end
if seconds ~= '0' then
  call('EXPIRE', base .. '.t', seconds)
  call('EXPIRE', base .. '.x', seconds)
end
"""
)

#: Answers 1 when the part's task holds the complete chord.
_ADD = Script(
    records.STORE_RECORD
    + f"""
local call = redis.call
local written = 1 + 4 * tonumber(ARGV[1])
for i = 2, written, 4 do store_record(ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]) end
local base, task_id, score, packed = unpack(ARGV, written + 1, written + 4)
local is_ordered, seconds, token = unpack(ARGV, written + 5, written + 7)
local holder = call('GET', base .. '.c')
if holder == 'done' then return 0 end
local parts = base .. '.j'
if call('SADD', base .. '.d', task_id .. ':' .. score) == 1 then
  if is_ordered == '1' then call('ZADD', parts, score, packed)
  else call('RPUSH', parts, packed) end
end
if seconds ~= '0' then
  for _, suffix in ipairs({{'.j', '.d', '.s', '.t'}}) do call('EXPIRE', base .. suffix, seconds) end
end
local size = call('GET', base .. '.s')
if not size then return 0 end
local count
if is_ordered == '1' then count = call('ZCARD', parts) else count = call('LLEN', parts) end
if count < tonumber(size) + tonumber(call('GET', base .. '.t') or 0) then return 0 end
if holder and holder ~= token then return 0 end
call('SET', base .. '.c', token, 'EX', {_CLAIM_S})
return 1
"""
)

_BEGIN = Script(
    _READ
    + """
local key, mark, seconds = take(), take(), take()
if call('SET', key, mark, 'NX', 'EX', seconds) then return 1 end
return call('GET', key) == mark and 1 or 0
"""
)


class RedisJoiner(Joiner):
    """Chords of one database. `is_ordered`: as Celery's `result_chord_ordered`."""

    def __init__(self, link: Link, prefix: str, *, is_ordered: bool) -> None:
        self._link = link
        self._prefix = prefix
        self._is_ordered = is_ordered

    def open_chord(self, group_id: str, size: int, expires_s: float | None) -> None:
        """See `Joiner.open_chord`."""
        self._link.script(_OPEN, [self._base(group_id), size, _whole_s(expires_s)])

    def grow_chord(self, group_id: str, task_id: str, expires_s: float | None) -> None:
        """See `Joiner.grow_chord`."""
        self._link.script(_GROW, [self._base(group_id), task_id, _whole_s(expires_s)])

    def add_part(
        self, part: ChordPart, writes: Sequence[ResultWrite], expires_s: float | None
    ) -> bool:
        """See `Joiner.add_part`."""
        words = [
            *records.arguments(writes, self._prefix),
            self._base(part.group_id),
            part.task_id,
            part.score,
            part.packed,
            int(self._is_ordered),
            _whole_s(expires_s),
            chord_ends.token_of(part.task_id),
        ]
        return bool(self._link.script(_ADD, words))

    def parts(self, group_id: str) -> list[bytes]:
        """See `Joiner.parts`."""
        key = f"{self._base(group_id)}.j"
        command = ("ZRANGE", key, 0, -1) if self._is_ordered else ("LRANGE", key, 0, -1)
        return list(self._link.run(*command))

    def close_chord(self, group_id: str) -> None:
        """See `Joiner.close_chord`."""
        self._link.script(chord_ends.CLOSE, [self._base(group_id)])

    def may_begin(self, key: str, mark: str, expires_s: float | None) -> bool:
        """See `Joiner.may_begin`."""
        seconds = _whole_s(expires_s) or _MARK_S
        return bool(self._link.script(_BEGIN, [f"{self._prefix}{key}", mark, seconds]))

    def _base(self, group_id: str) -> str:
        return f"{self._prefix}{group_key(group_id)}"


def _whole_s(expires_s: float | None) -> int:
    """Return seconds as Redis takes them, 0 for ever."""
    return max(1, round(expires_s)) if expires_s else 0
