"""The scripts that run in the server. Each is one atomic step.

Together they keep these rules:

- what is in a worker's hands stands in kombu's `unacked` (tag -> [envelope, "", queue]);
- its score in `unacked_index` is when its worker last lived, in whole seconds, and .5 more when it
  has started; what was acknowledged early stands in `unacked` only, so no fleet gives it back;
- every step that takes something out asks `HDEL` whether it was there: who lost it changes nothing.
"""

from __future__ import annotations

from tqconsole.engine.redis_server.link import Script
from tqconsole.engine.redis_server.records import STORE_RECORD

#: Dead letters kept of one queue, and the bytes they may hold together.
MOST_LETTERS, MOST_LETTER_BYTES = 10_000, 64 * 1024 * 1024
#: Parked messages that one fetch makes ready.
_MOST_DUE = 500
#: Milliseconds for which it is known that a consumer had something in hand: until all others have
#: looked, which they do every ten seconds, after a word of it that comes every five.
BUSY_MS = 25_000
#: Words that one call takes: Lua's stack holds 8,000.
CHUNK = 2_000

#: Reading the arguments in order.
READ = """
local call = redis.call
local at_word = 0
local function take() at_word = at_word + 1; return ARGV[at_word] end
local function number() return tonumber(take()) end
local function each(count, work)
  local first, last = at_word + 1, at_word + count
  at_word = last
  while first <= last do
    local stop = math.min(first + CHUNK - 1, last)
    work(first, stop)
    first = stop + 1
  end
end
""".replace("CHUNK", str(CHUNK))

_CLOCK = """
local clock = call('TIME')
local now_s = tonumber(clock[1])
local now_at = now_s + tonumber(clock[2]) / 1000000
"""

#: `bury(key, queue, sizes, envelope)`: a dead letter, and the oldest go when there are too many.
_BURY = f"""
local function bury(key, queue, sizes, envelope)
  call('LPUSH', key, envelope)
  local size = call('HINCRBY', sizes, queue, #envelope)
  while size > {MOST_LETTER_BYTES} or call('LLEN', key) > {MOST_LETTERS} do
    local oldest = call('RPOP', key)
    if not oldest then call('HDEL', sizes, queue); return end
    size = call('HINCRBY', sizes, queue, -#oldest)
  end
end
"""

#: `back(tag, list, envelope)` and `dead(tag, key, queue, sizes, envelope)`, for who still has it.
_LEAVE = """
local function has(tag)
  if call('HDEL', unacked, tag) == 0 then return false end
  call('ZREM', index, tag)
  return true
end
local function back(tag, list, envelope)
  if has(tag) then call('RPUSH', list, envelope); return 1 end
  return 0
end
local function dead(tag, key, queue, sizes, envelope)
  if has(tag) then bury(key, queue, sizes, envelope); return 1 end
  return 0
end
"""

#: The first words of every step of a worker's cycle.
_UNACKED = "local unacked, index = take(), take()"
_LEASE = """
local lease, lease_value, lease_ms = take(), take(), take()
call('SET', lease, lease_value, 'PX', lease_ms)
"""

#: Fetches, and makes ready what is due before.
_FETCH = f"""
local wanted, tag_prefix, busy = number(), take(), take()
local reply, problems, next_due = {{}}, {{}}, nil
local taken, list_number = 0, 0
local score = tostring(now_s)

local function wake(parked, tail, lists)
  local due = call('ZRANGEBYSCORE', parked, '-inf', now_at, 'LIMIT', 0, {_MOST_DUE})
  for at = #due, 1, -1 do
    local tag = due[at]
    call('ZREM', parked, tag)
    local entry = call('HGET', unacked, tag)
    if entry then
      call('HDEL', unacked, tag)
      call('ZREM', index, tag)
      local list = lists[string.match(tag, '^tqp:(%d+):')] or lists[1]
      call('RPUSH', list, string.sub(entry, 2, -#tail - 1))
    end
  end
end

local function fetch(list, tail)
  local popped = redis.pcall('RPOP', list, wanted - taken)
  if not popped then return end
  if popped.err then problems[#problems + 1] = list .. ': ' .. popped.err; return end
  local entries, scores = {{unacked}}, {{index}}
  for at = 1, #popped do
    local tag = tag_prefix .. (taken + at)
    entries[#entries + 1] = tag
    entries[#entries + 1] = '[' .. popped[at] .. tail
    scores[#scores + 1] = score
    scores[#scores + 1] = tag
  end
  taken = taken + #popped
  call('HSET', unpack(entries))
  call('ZADD', unpack(scores))
  reply[#reply + 1] = list_number
  reply[#reply + 1] = popped
end

for _ = 1, number() do
  local tail, parked, lists = take(), take(), {{}}
  local names = {{}}
  for at = 1, number() do
    local step = take()
    names[at] = take()
    lists[step] = names[at]
  end
  lists[1] = names[1]
  if wanted > 0 then
    local soonest = call('ZRANGE', parked, 0, 0, 'WITHSCORES')
    if soonest[2] and tonumber(soonest[2]) <= now_at then
      wake(parked, tail, lists)
      soonest = call('ZRANGE', parked, 0, 0, 'WITHSCORES')
    end
    if soonest[2] and (not next_due or tonumber(soonest[2]) < tonumber(next_due)) then
      next_due = soonest[2]
    end
  end
  for at = 1, #names do
    list_number = list_number + 1
    if taken < wanted then fetch(names[at], tail) end
  end
end
"""

#: Who has just got the first thing in hand says so: if it dies, it must be known for how long.
_FETCHED = f"""
if taken > 0 and busy ~= '' then call('SET', busy, 1, 'PX', {BUSY_MS}) end
return {{next_due or '', table.concat(problems, '; '), reply}}
"""

#: What a worker does in a cycle; see `exchange.py` for the words and the answer.
EXCHANGE = Script(
    READ
    + _UNACKED
    + _CLOCK
    + _BURY
    + _LEAVE
    + STORE_RECORD
    + _LEASE
    + """
for _ = 1, number() do store_record(take(), take(), take(), take()) end
for _ = 1, number() do call(take(), take(), take()) end
for _ = 1, number() do back(take(), take(), take()) end
for _ = 1, number() do dead(take(), take(), take(), take(), take()) end
"""
    + _FETCH
    + """
each(number(), function(first, last)
  for at = first, last do call('ZADD', index, 'XX', now_s + 0.5, ARGV[at]) end
end)
each(number(), function(first, last) call('ZREM', index, unpack(ARGV, first, last)) end)
each(number(), function(first, last)
  call('HDEL', unacked, unpack(ARGV, first, last))
  call('ZREM', index, unpack(ARGV, first, last))
end)
"""
    + _FETCHED
)

#: The same for a cycle that only fetches.
FETCH = Script(READ + _UNACKED + _CLOCK + _LEASE + _FETCH + _FETCHED)

#: A fetch that has waited for one list, and looks at no other: the bell tells of those. Not when
#: the lease has ended or knows of a later step. It stays as it is: an exchange under way looks for
#: its own number, and a worker that stands still must not seem to live. ARGV unacked, index,
#: lease, its number, list, count, tag prefix, the entry's tail, busy or ''. Answers the messages.
CATCH = Script(
    f"""
local call, unacked, index = redis.call, ARGV[1], ARGV[2]
if tonumber(call('GET', ARGV[3]) or '9e15') >= tonumber(ARGV[4]) then return false end
local popped = call('RPOP', ARGV[5], ARGV[6])
if not popped then return false end
local tag_prefix, tail, score = ARGV[7], ARGV[8], call('TIME')[1]
for at = 1, #popped do
  local tag = tag_prefix .. at
  call('HSET', unacked, tag, '[' .. popped[at] .. tail)
  call('ZADD', index, score, tag)
end
if ARGV[9] ~= '' then call('SET', ARGV[9], 1, 'PX', {BUSY_MS}) end
return popped
"""
)

#: Sees to it that a fetch which waits is not carried out any more, and answers what it got: ARGV
#: unacked, lease, its number, lease milliseconds, tag prefix, count.
WITHDRAW = Script(
    READ
    + """
local unacked, lease, batch, lease_ms, prefix = take(), take(), number(), take(), take()
if tonumber(call('GET', lease) or '0') < batch then
  call('SET', lease, string.format('%d', batch), 'PX', lease_ms)
end
local reply = {}
for at = 1, number() do reply[at] = call('HGET', unacked, prefix .. at) or '' end
return reply
"""
)

#: The same for a cycle that only writes results and acknowledges. Who waits for a result waits for
#: this too, so it reads its words without the helpers.
END = Script(
    STORE_RECORD
    + f"""
local call, unacked, index = redis.call, ARGV[1], ARGV[2]
call('SET', ARGV[3], ARGV[4], 'PX', ARGV[5])
local at = 7
for _ = 1, tonumber(ARGV[6]) do
  store_record(ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3])
  at = at + 4
end
local last = at + tonumber(ARGV[at])
while at < last do
  local stop = math.min(at + {CHUNK}, last)
  call('HDEL', unacked, unpack(ARGV, at + 1, stop))
  call('ZREM', index, unpack(ARGV, at + 1, stop))
  at = stop
end
return {{'', '', {{}}}}
"""
)

#: Writes down what starts and is acknowledged late: ARGV index, tags.
START = Script(
    """
local started = tonumber(redis.call('TIME')[1]) + 0.5
for at = 2, #ARGV do redis.call('ZADD', ARGV[1], 'XX', started, ARGV[at]) end
"""
)

#: Parks: ARGV unacked, index, count, (tag, parked tag, parked key, due, score) each.
PARK = Script(
    READ
    + """
local unacked, index = take(), take()
for _ = 1, number() do
  local tag, parked_tag, parked, due, score = take(), take(), take(), take(), take()
  local entry = call('HGET', unacked, tag)
  if entry then
    call('HDEL', unacked, tag)
    call('ZREM', index, tag)
    call('HSET', unacked, parked_tag, entry)
    call('ZADD', index, score, parked_tag)
    call('ZADD', parked, due, parked_tag)
  end
end
"""
)

#: Gives back what a dead consumer held: ARGV unacked, index, its lease, 1 when it is known to be
#: over, the reaper's lease, count, then kind and words each. Answers nothing when it lives after
#: all, else 1 or 0 for each.
REAP = Script(
    READ
    + """
local unacked, index = take(), take()
"""
    + _BURY
    + _LEAVE
    + """
local function lost(tag, our_tag, entry)
  if not has(tag) then return 0 end
  call('HSET', unacked, our_tag, entry)
  return 1
end
local lease, is_over = take(), take()
if is_over == '1' then call('DEL', lease) end
if call('EXISTS', lease) == 1 then return false end
local reply = {}
for at = 1, number() do
  local kind = take()
  if kind == 'back' then reply[at] = back(take(), take(), take())
  elseif kind == 'dead' then reply[at] = dead(take(), take(), take(), take(), take())
  else reply[at] = lost(take(), take(), take()) end
end
return reply
"""
)

#: What an exchange got whose answer was lost: ARGV unacked, lease, tag prefix, count. Answers the
#: lease's value and the entries, with nothing for those that are not there.
RECALL = Script(
    READ
    + """
local unacked, lease, prefix = take(), take(), take()
local reply = {call('GET', lease) or ''}
for at = 1, number() do reply[at + 1] = call('HGET', unacked, prefix .. at) or '' end
return reply
"""
)

#: Empties a queue of what waits and is parked: ARGV unacked, index, parked, count, lists.
PURGE = Script(
    READ
    + """
local unacked, index, parked = take(), take(), take()
local dropped = 0
for _ = 1, number() do
  local list = take()
  dropped = dropped + call('LLEN', list)
  call('DEL', list)
end
for _, tag in ipairs(call('ZRANGE', parked, 0, -1)) do
  dropped = dropped + call('HDEL', unacked, tag)
  call('ZREM', index, tag)
end
call('DEL', parked)
return dropped
"""
)

#: Takes a dead letter out: ARGV dead list, sizes, queue, letter, and where it goes ('' nowhere).
UNBURY = Script(
    READ
    + """
local key, sizes, queue, letter = take(), take(), take(), take()
if call('LREM', key, 1, letter) == 0 then return 0 end
if call('LLEN', key) == 0 then call('HDEL', sizes, queue)
else call('HINCRBY', sizes, queue, -#letter) end
local list = take()
if list ~= '' then call('LPUSH', list, take()) end
return 1
"""
)

#: Binds a reply queue, and lets go of bindings whose owner is long gone: ARGV bindings, deadlines,
#: exchange, our record, member, seconds it may live, seconds the table may.
BIND_REPLY = Script(
    READ
    + _CLOCK
    + """
local bindings, deadlines, exchange, ours = take(), take(), take(), take()
local member, own_s, table_s = take(), number(), number()
local gone = call('ZRANGEBYSCORE', ours, '-inf', now_s, 'LIMIT', 0, 500)
if #gone > 0 then
  call('SREM', bindings, unpack(gone))
  call('ZREM', ours, unpack(gone))
end
call('SADD', bindings, member)
call('ZADD', ours, now_s + own_s, member)
call('EXPIRE', ours, own_s)
call('ZADD', deadlines, 'GT', (now_s + table_s) * 1000, exchange)
"""
)

#: Copies what was published into lists, once however often it is heard or tried: ARGV seconds it is
#: remembered, count, (memory, list, milliseconds the list lives or 0, envelope) each.
HEAR = Script(
    READ
    + """
local seconds = take()
for _ = 1, number() do
  local memory, list, life_ms, envelope = take(), take(), number(), take()
  if call('SET', memory, '1', 'NX', 'EX', seconds) then
    call('LPUSH', list, envelope)
    if life_ms > 0 then call('PEXPIRE', list, life_ms) end
  end
end
"""
)

#: Puts a reply into a list that dies with its reader: ARGV bindings, member, list, seconds, reply.
#: Answers -1 when the binding is not the usual one.
REPLY = Script(
    READ
    + """
local bindings, member, list, seconds, reply = take(), take(), take(), take(), take()
if call('SISMEMBER', bindings, member) == 0 then return -1 end
call('LPUSH', list, reply)
call('EXPIRE', list, seconds)
return 1
"""
)
