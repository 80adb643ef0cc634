"""The scripts about who consumes: a renewal of a lease, and a look at all of them."""

from __future__ import annotations

from tqconsole.engine.brokers.redis.lua import BUSY_MS, CHUNK, READ
from tqconsole.engine.redis_server.link import Script

#: What `known` says of a lease that is there, when nobody has anything in hand: longer than any.
UNTIMED_MS = 10**9

#: `known()`: {uuid, who, milliseconds its lease lasts, -2 when it is over} of every consumer on
#: record.
_KNOWN = """
local function known(consumers, lease_prefix, busy)
  local found = call('HGETALL', consumers)
  local reply, asked = {}, {}
  local count = #found / 2
  for at = 1, #found, 2 do asked[#asked + 1] = lease_prefix .. found[at] end
  -- One question in the usual case; every command counts that an idle fleet asks. All live and
  -- nobody is busy: no other mixture comes to this number.
  for _ = 0, count do asked[#asked + 1] = busy end
  local is_quiet = #asked < CHUNK and call('EXISTS', unpack(asked)) == count
  for at = 1, #found, 2 do
    local left_ms = is_quiet and UNTIMED or call('PTTL', lease_prefix .. found[at])
    reply[#reply + 1] = {found[at], found[at + 1], left_ms}
  end
  return reply
end
"""

_KNOWN = _KNOWN.replace("CHUNK", str(CHUNK)).replace("UNTIMED", str(UNTIMED_MS))

#: Who consumes: ARGV consumers, lease prefix, busy.
LOOK = Script(READ + _KNOWN + "return known(take(), take(), take())")

#: Renews: ARGV index, consumers, lease prefix, busy, uuid, who, lease ms, record ms, count, tags,
#: count, indexes of what is parked. Answers who is known, when the next parked one is due, and 1
#: when the lease was still there.
RENEW = Script(
    READ
    + _KNOWN
    + """
local index, consumers, lease_prefix, busy = take(), take(), take(), take()
local uuid, who, lease_ms, record_ms = take(), take(), take(), take()
local lease = lease_prefix .. uuid
local was_there = call('PEXPIRE', lease, lease_ms)
-- Past every number: a fetch that waits from the time before is not carried out.
if was_there == 0 then call('SET', lease, '9e15', 'PX', lease_ms) end
call('HSET', consumers, uuid, who)
call('PEXPIRE', consumers, record_ms)
local tag_count = number()
local now_s = tag_count > 0 and tonumber(call('TIME')[1])
if tag_count > 0 then call('SET', busy, 1, 'PX', BUSY) end
for _ = 1, tag_count do
  local tag = take()
  local score = call('ZSCORE', index, tag)
  if score then
    local _, half = math.modf(tonumber(score))
    call('ZADD', index, 'XX', now_s + half, tag)
  end
end
local next_due = ''
for _ = 1, number() do
  local soonest = call('ZRANGE', take(), 0, 0, 'WITHSCORES')[2]
  if soonest and (next_due == '' or tonumber(soonest) < tonumber(next_due)) then
    next_due = soonest
  end
end
return {known(consumers, lease_prefix, busy), next_due, was_there}
""".replace("BUSY", str(BUSY_MS))
)
