"""The scripts about who consumes: a renewal of a lease, and a look at all of them."""

from __future__ import annotations

from tqconsole.engine.brokers.redis.lua import BUSY_MS, CHUNK, READ
from tqconsole.engine.redis_server.link import Script

#: What `known` says of a lease that is there, when nobody has anything in hand: longer than any.
UNTIMED_MS = 10**9

#: `known()`: {uuid, who, milliseconds its lease lasts, -2 when it is over} of every consumer on
#: record. Whose record and lease were seen to just now is `us`, and need not be asked for.
_KNOWN = """
local function known(found, lease_prefix, busy, us)
  local reply, asked = {}, {}
  for at = 1, #found, 2 do
    if found[at] ~= us then asked[#asked + 1] = lease_prefix .. found[at] end
  end
  local count = #asked
  -- One question in the usual case; every command counts that an idle fleet asks. All live and
  -- nobody is busy: no other mixture comes to this number.
  for _ = 0, count do asked[#asked + 1] = busy end
  local is_quiet = count == 0 or #asked < CHUNK and call('EXISTS', unpack(asked)) == count
  for at = 1, #found, 2 do
    local is_timed = not is_quiet and found[at] ~= us
    local left_ms = is_timed and call('PTTL', lease_prefix .. found[at]) or UNTIMED
    reply[#reply + 1] = {found[at], found[at + 1], left_ms}
  end
  return reply
end
"""

_KNOWN = _KNOWN.replace("CHUNK", str(CHUNK)).replace("UNTIMED", str(UNTIMED_MS))

#: Who consumes: ARGV consumers, lease prefix, busy.
LOOK = Script(READ + _KNOWN + "return known(call('HGETALL', take()), take(), take())")

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
local found = call('HGETALL', consumers)
local is_said = false
for at = 1, #found, 2 do is_said = is_said or found[at] == uuid and found[at + 1] == who end
if not is_said then
  call('HSET', consumers, uuid, who)
  found = call('HGETALL', consumers)
end
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
return {known(found, lease_prefix, busy, uuid), next_due, was_there}
""".replace("BUSY", str(BUSY_MS))
)
