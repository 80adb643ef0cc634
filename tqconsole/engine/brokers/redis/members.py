"""Who consumes: leases, the record of consumers, and the tags that bear their owner's name.

A tag is `tq:<uuid>:<worker name>:<batch>.<number>`, always longer than 64 bytes, since Redis keeps
hashes of shorter ones in a form that is searched from end to end.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

import msgspec

from tqconsole.engine.brokers.redis import leases
from tqconsole.engine.brokers.redis.keys import Keys
from tqconsole.engine.embedded.host import Host, is_running, this_host
from tqconsole.engine.exceptions import RefusedError
from tqconsole.engine.protocol.transfer import LiveWorker
from tqconsole.engine.redis_server.link import Link
from tqconsole.engine.serialization import decode_json, encode_json

#: Milliseconds a consumer counts as alive without a word: one that holds something, so that with
#: the look that follows its end all is back within 15 s; and one that does not and speaks less
#: often; and how long its record stays when nobody renews.
LEASE_MS, IDLE_LEASE_MS, RECORD_MS = 13_000, 25_000, 45_000
#: A worker's name in a tag is filled up to this, and cut there.
_SHORTEST_NAME, _LONGEST_NAME = 34, 100

#: The consumers of this process: another one of the same pid is an earlier life of it.
_own: set[str] = set()


class Member(msgspec.Struct, frozen=True):
    """A consumer on record."""

    uuid: str
    worker_name: str
    pid: int
    host: str
    boot_id: str
    queues: tuple[str, ...]
    #: How long its lease lasts when nobody renews it; negative when it is over.
    left_s: float
    #: Those of the queues that end with it.
    passing: tuple[str, ...] = ()

    @property
    def is_alive(self) -> bool:
        """Whether it holds its lease."""
        return self.left_s >= 0

    def is_earlier_life(self, host: Host, worker_name: str) -> bool:
        """Whether it was a worker of this name on this machine whose process is gone."""
        if not worker_name or self.worker_name != worker_name or self.host != host.name:
            return False
        if self.boot_id != host.boot_id:
            # The same name after a restart of the machine.
            return True
        if self.pid == host.pid:
            # In a container every life has the same pid.
            return self.uuid not in _own
        return not is_running(self.pid)


class Renewed(msgspec.Struct, frozen=True):
    """What a renewal brought: all consumers on record, when the next that is parked of the queues
    is due, and whether the lease was still there.
    """

    known: tuple[Member, ...]
    due_at: float | None
    was_alive: bool


def new_uuid() -> str:
    """Return the name of a new consumer of this process."""
    name = secrets.token_hex(16)
    _own.add(name)
    return name


def forget_own(uuid: str) -> None:
    """A consumer of this process has ended."""
    _own.discard(uuid)


def tag_prefix(uuid: str, worker_name: str) -> str:
    """Return what all tags of a consumer begin with."""
    name = worker_name[:_LONGEST_NAME]
    return f"tq:{uuid}:{name:.<{_SHORTEST_NAME}}:"


def parked_tag(step: int, tag: str) -> str:
    """Return the tag of a delivery that is parked: in nobody's hands."""
    return f"tqp:{step}:{tag}"


def order_of(tag: str) -> tuple[int, int]:
    """Return where a tag stands in its owner's order."""
    batch, _, number = tag.rpartition(":")[2].partition(".")
    return (int(batch), int(number)) if batch.isdecimal() and number.isdecimal() else (0, 0)


def owner_of(tag: str) -> tuple[str, str]:
    """Return (uuid, worker name) of a tag."""
    words = tag.split(":", 2)
    name = words[2].rpartition(":")[0].rstrip(".") if len(words) == 3 else ""
    return (words[1] if len(words) > 1 else ""), name


def record_of(worker_name: str, queues: Sequence[str], passing: Sequence[str] = ()) -> bytes:
    """Return a consumer's record; `passing` are those of its queues that end with it."""
    host = this_host()
    return encode_json(
        {
            "name": worker_name,
            "pid": host.pid,
            "host": host.name,
            "boot": host.boot_id,
            "queues": list(queues),
            **({"passing": list(passing)} if passing else {}),
        }
    )


def renew(
    link: Link,
    keys: Keys,
    us: tuple[str, bytes, int],
    tags: Sequence[str],
    queues: Sequence[str],
) -> Renewed:
    """Renew a lease and the scores in hand; `us` are uuid, record and the lease's milliseconds."""
    words: tuple[str | bytes | int, ...]
    words = (keys.unacked_index, keys.consumers, keys.lease(""), keys.busy, *us, RECORD_MS)
    parked = [keys.parked(name) for name in queues]
    found, due_at, was_alive = link.script(
        leases.RENEW, [*words, len(tags), *tags, len(parked), *parked]
    )
    known = tuple(_member(row) for row in found)
    return Renewed(known, float(due_at) if due_at else None, bool(was_alive))


def known(link: Link, keys: Keys) -> list[Member]:
    """Return all consumers on record."""
    return [
        _member(row)
        for row in link.script(leases.LOOK, [keys.consumers, keys.lease(""), keys.busy])
    ]


def leave(link: Link, keys: Keys, uuid: str, *, has_left_work: bool) -> None:
    """End a lease; the record stays while there is work on record, for who gives it back."""
    link.run("DEL", keys.lease(uuid))
    if not has_left_work:
        link.run("HDEL", keys.consumers, uuid)


def live_workers(link: Link, keys: Keys) -> list[LiveWorker]:
    """Return the workers that live; a consumer without a name is none."""
    return [
        LiveWorker(it.worker_name, it.pid, it.host)
        for it in known(link, keys)
        if it.is_alive and it.worker_name
    ]


def _member(row: Sequence[Any]) -> Member:
    uuid, record, left_ms = row
    try:
        said = decode_json(record)
    except RefusedError:
        said = {}
    said = said if isinstance(said, dict) else {}
    pid = said.get("pid")
    queues, passing = said.get("queues"), said.get("passing")
    return Member(
        uuid=uuid.decode(errors="replace"),
        worker_name=str(said.get("name") or ""),
        pid=pid if isinstance(pid, int) and pid > 0 else 0,
        host=str(said.get("host") or ""),
        boot_id=str(said.get("boot") or ""),
        queues=tuple(map(str, queues)) if isinstance(queues, list) else (),
        left_s=left_ms / 1000,
        passing=tuple(map(str, passing)) if isinstance(passing, list) else (),
    )
