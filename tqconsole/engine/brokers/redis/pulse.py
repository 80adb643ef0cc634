"""How a consumer says that it lives, and learns who else does.

While it holds something every beat does all of it. An idle one has little to say, and a fleet of
idle workers should cost the server nothing to speak of: most of its beats are one command. Any
thread may call it, one at a time.
"""

from __future__ import annotations

from collections.abc import Sequence

from tqconsole.engine.brokers.redis import members
from tqconsole.engine.brokers.redis.keys import Keys
from tqconsole.engine.redis_server.link import Link

#: Of so many beats of an idle consumer the first does all, every 30 s; the others take turns.
_BEATS = 6


class Pulse:
    """The beats of one consumer."""

    def __init__(self, link: Link, keys: Keys, uuid: str, worker_name: str) -> None:
        self._link = link
        self._keys = keys
        self._uuid = uuid
        self._worker_name = worker_name
        self._lease, self._busy = keys.lease(uuid), keys.busy
        self._beat = 0
        self._who = b""
        self._others: list[str] = []

    def beat(
        self, tags: Sequence[str], queues: Sequence[str], passing: Sequence[str]
    ) -> members.Renewed | None:
        """Say that it lives and has `tags` in hand; return what was learnt, None for no change."""
        who = members.record_of(self._worker_name, queues, passing)
        self._beat += 1
        is_idle = not tags
        if is_idle and self._beat % _BEATS and who == self._who and self._is_as_it_was():
            return None
        self._beat = 0
        lease_ms = members.IDLE_LEASE_MS if is_idle else members.LEASE_MS
        renewed = members.renew(self._link, self._keys, (self._uuid, who, lease_ms), tags, queues)
        self._who = who
        self._others = [self._keys.lease(it.uuid) for it in renewed.known
                        if it.is_alive and it.uuid != self._uuid]  # fmt: skip
        return renewed

    def _is_as_it_was(self) -> bool:
        """Say that it lives, or ask in turns whether all others do and have nothing in hand, which
        nobody else would miss if they died; False: it is worth all of a beat.
        """
        if self._beat % 2 == 0 and not self._others:
            # What is marked as busy is our own doing, unless somebody has come.
            known_count: int = self._link.run("HLEN", self._keys.consumers)
            return known_count == 1
        if self._beat % 2 == 0:
            leases = [self._lease, *self._others]
            # Who died while somebody was busy cannot make up for it: that counts for more.
            marks = [self._busy] * (len(leases) + 1)
            found_count: int = self._link.run("EXISTS", *leases, *marks)
            return found_count == len(leases)
        renewed: int = self._link.run("PEXPIRE", self._lease, members.IDLE_LEASE_MS)
        return renewed == 1
