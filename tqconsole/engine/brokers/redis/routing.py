"""Declaring queues in kombu's binding sets, and where a publication goes by them.

A queue without an exchange is bound as Celery binds one it makes itself: to a direct exchange of
its own name. So every queue can be listed by its binding. Fanout exchanges are published on
channels, as kombu has it; queues of ours that are bound to one get their copy in a list besides.
Fanout queues that end with their reader (kombu's `Broadcast`) exist while somebody consumes them.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import NamedTuple

from tqconsole.engine.brokers.redis import lua
from tqconsole.engine.brokers.redis.envelope import written
from tqconsole.engine.brokers.redis.keys import Keys
from tqconsole.engine.embedded.topics import does_match
from tqconsole.engine.exceptions import NotSupportedError
from tqconsole.engine.protocol.transfer import ExchangeSpec, Publication, QueueSpec
from tqconsole.engine.redis_server.link import Command, Link

logger = logging.getLogger(__name__)

#: Seconds that a queue which ends with its reader outlives the last word of it, and that kombu
#: keeps a table of bindings.
PASSING_S, BINDINGS_TTL_S = 45, 3600

#: Arguments of RabbitMQ's that would change what happens to messages, and what happens here.
_WITHOUT_MEANING = {
    "x-dead-letter-exchange": "no dead-letter exchanges: its dead letters stay in {name}.dead",
    "x-message-ttl": "no message TTL of a queue: its messages wait as long as they must",
    "x-max-length": "no bounded queues: it grows as it must",
    "x-max-length-bytes": "no bounded queues: it grows as it must",
}

#: A write of three words: LPUSH, PUBLISH, SADD or PEXPIRE, a key, a value.
Write = tuple[str, str, str | bytes | int]


class Targets(NamedTuple):
    """Where a publication goes."""

    queues: tuple[str, ...]
    channels: tuple[str, ...] = ()
    #: Those of the queues that end with their reader.
    passing: frozenset[str] = frozenset()


class Router:
    """Knows what this process declared; everything else is asked of the server."""

    def __init__(self, link: Link, keys: Keys) -> None:
        self._link = link
        self._keys = keys
        self._known: set[str] = set()
        self._expires_ms: dict[str, int] = {}
        self._fanouts: set[str] = set()
        self._told: set[tuple[str, str]] = set()

    def declare(self, queue: QueueSpec) -> None:
        """Bind a queue. Idempotent. Raises: NotSupportedError.

        Of one that ends with its reader only the exchange is noted: whoever sends to it does not
        read it.
        """
        if queue.exchange.kind == "fanout":
            self._fanouts.add(queue.exchange.name)
        if is_passing(queue):
            return
        self._link.ask([*self._bindings(queue), ("PING",)])
        self._known.add(queue.name)

    def attach(self, queue: QueueSpec) -> None:
        """Declare a queue that is consumed; one that ends with its reader wants it again."""
        self._tell(queue)
        self.declare(queue)
        if is_passing(queue):
            keys, exchange = self._keys, queue.exchange.name
            self._expires_ms[queue.name] = PASSING_S * 1000
            member = keys.member(queue.exchange, queue.routing_key, queue.name)
            words = [keys.binding(exchange), keys.deadlines, exchange]
            words += [keys.passing_queues(exchange), member]
            self._link.script(lua.BIND_REPLY, [*words, PASSING_S, BINDINGS_TTL_S])

    def _tell(self, queue: QueueSpec) -> None:
        """Say once what of a queue's description has no meaning in this server."""
        said = dict(queue.arguments)
        if queue.message_ttl_s is not None:
            said["x-message-ttl"] = queue.message_ttl_s
        for name in said.keys() & _WITHOUT_MEANING.keys():
            if (queue.name, name) not in self._told:
                self._told.add((queue.name, name))
                meaning = _WITHOUT_MEANING[name].format(name=queue.name)
                logger.warning("queue %s: redis has %s (%s)", queue.name, meaning, name)

    def detach(self, queue: QueueSpec) -> None:
        """A queue is consumed no longer: one that ends with its reader ends."""
        if is_passing(queue):
            keys, exchange = self._keys, queue.exchange.name
            member = keys.member(queue.exchange, queue.routing_key, queue.name)
            ended: list[Command] = [("SREM", keys.binding(exchange), member)]
            ended.append(("ZREM", keys.passing_queues(exchange), member))
            self._link.ask([*ended, ("DEL", *keys.lists(queue.name))])

    def forget(self, queue_name: str) -> None:
        """A queue was deleted: the next message to it declares it again."""
        self._known.discard(queue_name)
        self._expires_ms.pop(queue_name, None)

    def expiries(self, queue_name: str) -> list[Command]:
        """Return what keeps a queue that expires alive while it is used."""
        expires_ms = self._expires_ms.get(queue_name)
        if expires_ms is None:
            return []
        return [("PEXPIRE", name, expires_ms) for name in self._keys.lists(queue_name)]

    def commands(self, publications: Sequence[Publication]) -> list[Command]:
        """Return what puts publications in place, all or nothing. Raises: EncodeError."""
        pushes: dict[str, list[str | bytes]] = {}
        for publication in publications:
            name = publication.routing_key
            if publication.exchange or name not in self._known or name in self._expires_ms:
                # Not a queue that is bound and waits: where it goes has to be looked at.
                return merged(self.writes(publications))
            priority = publication.message.properties.get("priority")
            list_name = self._keys.list_for(name, priority)
            push = pushes.get(list_name)
            if push is None:
                push = pushes[list_name] = ["LPUSH", list_name]
            push.append(written(publication))
        return _whole([tuple(push) for push in pushes.values()])

    def writes(self, publications: Sequence[Publication]) -> list[Write]:
        """Return the writes that put publications in place, in order. Raises: EncodeError."""
        found: list[Write] = []
        routes: dict[tuple[str, str], Targets] = {}
        for publication in publications:
            address = (publication.exchange, publication.routing_key)
            if address not in routes:
                routes[address] = self.route(*address)
            targets = routes[address]
            envelope = written(publication, is_copied=bool(targets.channels))
            priority = publication.message.properties.get("priority")
            for name in targets.queues:
                if name not in self._known and not targets.channels:
                    found += self._bindings(QueueSpec(name))
                    self._known.add(name)
                found.append(("LPUSH", self._keys.list_for(name, priority), envelope))
                if name in targets.passing:
                    name_of_list = self._keys.list_for(name, priority)
                    found.append(("PEXPIRE", name_of_list, PASSING_S * 1000))
            found += [("PUBLISH", channel, envelope) for channel in targets.channels]
        for name in {name for targets in routes.values() for name in targets.queues}:
            found += self.expiries(name)  # type: ignore[arg-type]  # three words each
        return found

    def route(self, exchange: str, routing_key: str) -> Targets:
        """Return where a message goes.

        A key that leads nowhere makes the queue of that name when the exchange is direct or unknown
        (what is published must not vanish); for topic and fanout it leads to nobody, as in AMQP.
        """
        if not exchange:
            return Targets((routing_key,))
        keys = self._keys
        members, copies, passing = self._link.ask(
            [
                ("SMEMBERS", keys.binding(exchange)),
                ("SMEMBERS", keys.fanout_queues(exchange)),
                ("ZRANGE", keys.passing_queues(exchange), 0, -1),
            ]
        )
        bindings = [keys.binding_of(member) for member in members]
        # A fanout exchange that nobody here declared and Celery's workers listen to.
        is_bare = bool(bindings) and not any(key or pattern for key, pattern, _ in bindings)
        if exchange in self._fanouts or copies or passing or is_bare:
            return self._fanned(exchange, routing_key, bindings, (copies, passing))
        found = {
            queue
            for key, pattern, queue in bindings
            if does_match("topic" if pattern else "direct", key, routing_key)
        }
        if not found and not any(pattern for _, pattern, _ in bindings):
            found = {routing_key}
        return Targets(tuple(sorted(found)))

    def _fanned(
        self,
        exchange: str,
        routing_key: str,
        bindings: Sequence[tuple[str, str, str]],
        ours: tuple[Sequence[bytes], Sequence[bytes]],
    ) -> Targets:
        """Return where a fanout message goes: kombu's readers listen by the key of their binding,
        although the key should not matter.
        """
        keys, (copies, passing) = self._keys, ours
        ending = frozenset(keys.binding_of(member)[2] for member in passing)
        lasting = {name.decode(errors="replace") for name in copies}
        routing_keys = dict.fromkeys([routing_key, *(key for key, _, _ in bindings)])
        channels = tuple(dict.fromkeys(keys.channel(exchange, key) for key in routing_keys))
        return Targets(tuple(sorted(lasting | ending)), channels, ending)

    def _bindings(self, queue: QueueSpec) -> list[Write]:
        exchange, routing_key = queue.exchange, queue.routing_key
        if exchange.kind not in ("direct", "topic", "fanout"):
            raise NotSupportedError(
                f"queue {queue.name!r}: redis has no {exchange.kind} exchanges;"
                " use direct, topic or fanout, or amqp://"
            )
        if not exchange.name:
            exchange, routing_key = ExchangeSpec(queue.name), queue.name
        expires_s = queue.expires_s
        if expires_s is None and isinstance(queue.arguments.get("x-expires"), int):
            expires_s = queue.arguments["x-expires"] / 1000
        if expires_s is not None:
            self._expires_ms[queue.name] = max(1, int(expires_s * 1000))
        member = self._keys.member(exchange, routing_key, queue.name)
        writes: list[Write] = [
            ("SADD", self._keys.binding(exchange.name), member),
            ("SADD", self._keys.permanent(exchange.name), member),
        ]
        if exchange.kind == "fanout":
            writes.append(("SADD", self._keys.fanout_queues(exchange.name), queue.name))
        return writes


def is_passing(queue: QueueSpec) -> bool:
    """Whether a queue ends with its reader: kombu's `Broadcast`."""
    return queue.exchange.kind == "fanout" and queue.is_auto_delete


def merged(writes: Sequence[Write]) -> list[Command]:
    """Return the writes as commands, one for all that goes into a list, all or nothing."""
    lists: dict[str, list[str | bytes | int]] = {}
    others: list[Command] = []
    for command, key, value in writes:
        if command == "LPUSH":
            lists.setdefault(key, []).append(value)
        else:
            others.append((command, key, value))
    pushes: list[Command] = [("LPUSH", key, *values) for key, values in lists.items()]
    # Bindings first, expiries of the lists last.
    before = [it for it in others if it[0] == "SADD"]
    after = [it for it in others if it[0] != "SADD"]
    return _whole([*before, *pushes, *after])


def _whole(commands: list[Command]) -> list[Command]:
    """Return commands so that all of them are run or none."""
    return commands if len(commands) < 2 else [("MULTI",), *commands, ("EXEC",)]
