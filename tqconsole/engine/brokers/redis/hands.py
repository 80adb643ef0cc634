"""How many messages consumers hold and have not acknowledged, by queue. For people only.

kombu's `unacked` holds those of all queues together. Its entries end with exchange and routing key,
so the server itself can count them without sending one message; where it is too long for that, the
sum is all that is told. What is acknowledged early is in no index, and not counted.
"""

from __future__ import annotations

import re

from tqconsole.engine.brokers.redis.keys import Keys
from tqconsole.engine.clock import Clock
from tqconsole.engine.exceptions import RefusedError
from tqconsole.engine.redis_server.link import Link, Script
from tqconsole.engine.serialization import decode_json

#: Messages in hand that the server goes through for one count: 3 ms of its time at 1 KB each.
MOST = 2_000
#: Seconds for which one count is good.
FRESH_S = 2.0

#: ARGV a name that says what this is, unacked, index, most. Answers the sum, then tail and count of
#: each exchange and key, unless there are too many.
_COUNT = Script(
    """
local call = redis.call
local unacked, index, most = ARGV[2], ARGV[3], tonumber(ARGV[4])
local reply = {call('ZCARD', index)}
if call('HLEN', unacked) > most then return reply end
local counts = {}
local all = call('HGETALL', unacked)
for at = 1, #all, 2 do
  if call('ZSCORE', index, all[at]) then
    local tail = string.match(string.sub(all[at + 1], -800), '("[^"]*"%s*,%s*"[^"]*")%s*%]%s*$')
    counts[tail or ''] = (counts[tail or ''] or 0) + 1
  end
end
for tail, count in pairs(counts) do
  reply[#reply + 1] = tail
  reply[#reply + 1] = count
end
return reply
"""
)


class Hands:
    """Counts for all queues at once, and no more often than the figure can be read."""

    def __init__(self, link: Link, keys: Keys, clock: Clock) -> None:
        self._link = link
        self._keys = keys
        self._clock = clock
        self._counted_mono = float("-inf")
        self._total = 0
        self._by_queue: dict[str, int] | None = None

    def total(self) -> int:
        """Return how many are in hand or parked, of all queues. Raises: OperationalError."""
        self._renew()
        return self._total

    def count(self, queue_name: str) -> int | None:
        """Return how many of a queue, parked ones included; None when there are too many."""
        self._renew()
        return None if self._by_queue is None else self._by_queue.get(queue_name, 0)

    def _renew(self) -> None:
        now_mono = self._clock.mono()
        if now_mono - self._counted_mono < FRESH_S:
            return
        words = ("tq.hands", self._keys.unacked, self._keys.unacked_index, MOST)
        total, *counts = self._link.script(_COUNT, words)
        is_counted = bool(counts) or not total
        self._total = int(total)
        self._by_queue = self._sorted_out(counts) if is_counted else None
        self._counted_mono = now_mono

    def _sorted_out(self, counts: list[bytes | int]) -> dict[str, int] | None:
        """Return queue -> count; None when one belongs to no queue that can be told."""
        found: dict[str, int] = {}
        for tail, count in zip(counts[::2], counts[1::2], strict=True):
            queue_name = self._queue_of(tail)
            if queue_name is None:
                return None
            found[queue_name] = found.get(queue_name, 0) + int(count)
        return found

    def _queue_of(self, tail: bytes | int) -> str | None:
        try:
            words = decode_json(b"[" + bytes(tail) + b"]")
        except RefusedError:
            return None
        exchange, routing_key = words if isinstance(words, list) and len(words) == 2 else ("", None)
        if not exchange or not isinstance(routing_key, str):
            return routing_key
        members = self._link.run("SMEMBERS", self._keys.binding(exchange))
        bindings = [self._keys.binding_of(member) for member in members]
        names = {
            name
            for key, pattern, name in bindings
            if (re.match(pattern, routing_key) if pattern else key == routing_key)
        }
        return names.pop() if len(names) == 1 else None
