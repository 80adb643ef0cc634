"""Emptying a server that is out of memory: who settles gives back more than it takes.

A server past its `maxmemory` refuses a script at its first command that may take memory, so that
nothing can be settled and no worker makes room. But what a script has begun to write it may finish,
and a deletion is never refused: the scripts of a cycle begin with one here. That is done for cycles
only whose end leaves the server no fuller than it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tqconsole.engine.brokers.redis import lua
from tqconsole.engine.brokers.redis.exchange import Held, Plan
from tqconsole.engine.protocol.transfer import Riding
from tqconsole.engine.redis_server.link import Script

#: Seconds for which a server counts as full after it refused a cycle: to find out that it is not
#: any more costs a refusal when it is.
FULL_S = 60.0
#: Bytes that a record takes beside its text, and an entry of `unacked` beside its envelope: about
#: the same, so they stand for each other.
_BESIDE_BYTES = 200
#: The lease is ARGV[3]; it is written anew by what follows, in the same step.
_IN_NEED: Mapping[bytes, Script] = {
    script.sha: Script(f"redis.call('DEL', ARGV[3])\n{script.text}")
    for script in (lua.FETCH, lua.END, lua.EXCHANGE)
}


def in_need(script: Script) -> Script:
    """Return the form of a cycle's script that a full server carries out."""
    return _IN_NEED[script.sha]


def makes_room(plan: Plan, riding: Riding | None, hand: Mapping[str, Held]) -> bool:
    """Tell whether what a plan takes out is at least as large as what it puts in. What is fetched,
    given back or buried only moves.
    """
    freed = _bytes_of(hand[tag].envelope for tag in plan.acked if tag in hand)
    if riding is None:
        return True
    taken = _bytes_of(write.record for write in riding.results)
    taken += _bytes_of(publication.message.body for publication in riding.publications)
    taken += len(riding.publications) * _BESIDE_BYTES * 3
    return taken <= freed


def _bytes_of(texts: Iterable[bytes]) -> int:
    return sum(len(text) + _BESIDE_BYTES for text in texts)
