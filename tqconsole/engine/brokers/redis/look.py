"""Reads for people: depths, what waits, what is parked, which queues there are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from tqconsole.engine.brokers.redis import lua, members
from tqconsole.engine.brokers.redis.envelope import delivery_of, raw_delivery, read
from tqconsole.engine.brokers.redis.hands import Hands
from tqconsole.engine.brokers.redis.keys import Keys, envelope_of
from tqconsole.engine.exceptions import RefusedError
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.transfer import Delivery, Parked, QueueDepth
from tqconsole.engine.redis_server.link import Command, Link

#: Keys looked at in one step when bindings are searched.
_SCAN_COUNT = 2_000
#: What ends the name of a monitor's queue: its uuid.
_MONITOR = re.compile(r"\.[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")


def queue_names(link: Link, keys: Keys) -> list[str]:
    """Return all queues that are bound, sorted; none of commands, replies and events."""
    bindings = [
        keys.binding_of(member)
        for binding_key in _binding_keys(link, keys)
        for member in link.run("SMEMBERS", binding_key)
    ]
    return sorted({name for key, _, name in bindings if name and not _is_private(name, key)})


def _is_private(name: str, routing_key: str) -> bool:
    """Return whether a queue is one of commands or replies, or a monitor's, of whatever prefix."""
    if name.endswith(".pidbox") or name.startswith("celeryev."):
        return True
    return routing_key.endswith("#") and _MONITOR.search(name) is not None


def unbind(link: Link, keys: Keys, queue_name: str) -> None:
    """Take a queue out of all bindings."""
    commands: list[Command] = []
    for binding_key in _binding_keys(link, keys):
        exchange = keys.exchange_of(binding_key)
        for member in link.run("SMEMBERS", binding_key):
            if keys.binding_of(member)[2] == queue_name:
                commands += [
                    ("SREM", binding_key, member),
                    ("SREM", keys.permanent(exchange), member),
                    ("SREM", keys.fanout_queues(exchange), queue_name),
                ]
    if commands:
        link.ask(commands)


def purge(link: Link, keys: Keys, queue_name: str) -> int:
    """Drop what waits and what is parked; return how many."""
    lists = keys.lists(queue_name)
    words = (keys.unacked, keys.unacked_index, keys.parked(queue_name), len(lists))
    return int(link.script(lua.PURGE, [*words, *lists]))


def depth(link: Link, keys: Keys, hands: Hands, queue_name: str) -> QueueDepth:
    """Return how full a queue is."""
    commands: list[Command] = [("LLEN", name) for name in keys.lists(queue_name)]
    commands += [("ZCARD", keys.parked(queue_name)), ("LLEN", keys.dead(queue_name))]
    *ready, parked_count, dead_count = link.ask(commands)
    held = hands.count(queue_name)
    alive = [it for it in members.known(link, keys) if it.is_alive]
    counts = tuple(zip(keys.steps, ready, strict=True))
    consumer_count = _consumer_count(alive, queue_name)
    # Celery's workers hold what is not due: where none of ours reads, nobody knows how much it is.
    return QueueDepth(
        ready_count=sum(ready),
        unacked_count=None if held is None else max(0, held - parked_count),
        parked_count=parked_count if parked_count or consumer_count else None,
        dead_count=dead_count,
        consumer_count=consumer_count,
        by_priority=tuple((step, count) for step, count in counts if count),
    )


def peek(link: Link, keys: Keys, queue_name: str, count: int) -> list[Message]:
    """Return the next messages without touching them."""
    found: list[Message] = []
    for name in keys.lists(queue_name):
        left = count - len(found)
        if left <= 0:
            break
        page = link.run("LRANGE", name, -left, -1)
        found += [read(envelope) for envelope in reversed(page)]
    return found


def parked(link: Link, keys: Keys, names: Sequence[str], limit: int) -> list[Parked]:
    """Return what waits for its time, soonest first."""
    waiting: list[tuple[float, bytes]] = []
    for name in dict.fromkeys(names):
        page = link.run("ZRANGE", keys.parked(name), 0, limit - 1, "WITHSCORES") if limit else []
        waiting += [(float(due_at), tag) for tag, due_at in _pairs(page)]
    waiting.sort()
    wanted = waiting[:limit]
    if not wanted:
        return []
    entries = link.run("HMGET", keys.unacked, *(tag for _, tag in wanted))
    return [
        Parked(due_at, _delivery(entry, tag.decode(errors="replace")))
        for (due_at, tag), entry in zip(wanted, entries, strict=True)
        # A Celery worker has returned it, or it was fetched a moment ago.
        if entry is not None
    ]


def _pairs(page: Sequence[Any]) -> Sequence[Any]:
    """Return (member, score) pairs of either protocol's answer."""
    if page and not isinstance(page[0], bytes):
        return page
    return list(zip(page[::2], page[1::2], strict=True))


def _delivery(entry: bytes, tag: str) -> Delivery:
    envelope, queue = envelope_of(entry)
    try:
        return delivery_of(envelope, tag, queue)
    except RefusedError:
        return raw_delivery(envelope, tag, queue)


def _consumer_count(alive: Sequence[members.Member], queue_name: str) -> int | None:
    """Return how many of ours consume it; None for none, since Celery's workers are not listed."""
    return sum(queue_name in it.queues for it in alive) or None


def _binding_keys(link: Link, keys: Keys) -> list[str]:
    found: set[str] = set()
    cursor: bytes | int = 0
    while True:
        cursor, page = link.run(
            "SCAN", cursor, "MATCH", keys.any_binding, "COUNT", _SCAN_COUNT, "TYPE", "set"
        )
        found.update(name.decode(errors="replace") for name in page)
        if int(cursor) == 0:
            return sorted(found)
