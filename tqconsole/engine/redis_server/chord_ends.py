"""The end of a chord in a Redis server, with its keys as told in `backends/redis_chords.py`.

The store closes a chord alone, or the broker does in the step that publishes the body, when both
are one server.
"""

from __future__ import annotations

from tqconsole.engine.redis_server.link import Script

#: Seconds for which a chord is known to be done, as Celery has it.
_DONE_S = 300

#: `close_chord(base)`: forget the parts.
_CLOSE_CHORD = f"""
local function close_chord(base)
  redis.call('UNLINK', base .. '.j', base .. '.d', base .. '.s', base .. '.t', base .. '.x')
  redis.call('SET', base .. '.c', 'done', 'EX', {_DONE_S})
end
"""

#: ARGV: the group's key.
CLOSE = Script(_CLOSE_CHORD + "close_chord(ARGV[1])")

#: ARGV: the group's key, its holder's token, then writes of three words each: all, or nothing when
#: the chord is another's or closed. A claim that has run out is nobody's, unless the chord ended so
#: long ago that this is forgotten too.
END = Script(
    _CLOSE_CHORD
    + """
local base, token = ARGV[1], ARGV[2]
local holder = redis.call('GET', base .. '.c')
if holder and holder ~= token then return 0 end
if not holder and redis.call('EXISTS', base .. '.s') == 0 then return 0 end
for at = 3, #ARGV, 3 do redis.call(ARGV[at], ARGV[at + 1], ARGV[at + 2]) end
close_chord(base)
return 1
"""
)


def token_of(task_id: str) -> str:
    """Return what stands in `.c` while this task holds the chord."""
    return f"tq:{task_id}"
