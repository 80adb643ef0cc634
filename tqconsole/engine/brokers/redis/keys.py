"""The names of everything in the server: kombu's (wire.md §3.1) and, beginning with `tq`, ours."""

from __future__ import annotations

from bisect import bisect
from typing import Any

from tqconsole.engine.exceptions import ImproperlyConfigured
from tqconsole.engine.protocol.transfer import ExchangeSpec
from tqconsole.engine.redis_server.address import Address
from tqconsole.engine.serialization import decode_json, encode_json

#: kombu's defaults.
_SEPARATOR, _STEPS, _VISIBILITY_S = "\x06\x16", (0, 3, 6, 9), 3600.0
_BINDING = "_kombu.binding."


class Keys:
    """Names and values in kombu's layout, as the transport options have them."""

    def __init__(self, address: Address) -> None:
        options = address.options
        self.prefix = str(options.get("global_keyprefix") or "")
        self.separator = str(options.get("sep") or _SEPARATOR)
        self.steps = _steps(options.get("priority_steps"))
        self._usual_step = self.step(None)
        self.visibility_s = address.number("visibility_timeout", _VISIBILITY_S)
        self.unacked = self.prefix + str(options.get("unacked_key") or "unacked")
        self.unacked_index = self.prefix + str(options.get("unacked_index_key") or "unacked_index")
        self.deadlines = f"{self.prefix}_kombu.binding_deadlines"
        self.has_patterns = address.flag("fanout_patterns", default=True)
        self._channel = self.prefix + _fanout_prefix(options.get("fanout_prefix", True), address.db)
        #: uuid -> who it is, for every consumer that was not seen to end.
        self.consumers = f"{self.prefix}tq.consumers"
        #: There while a consumer has something in hand, and for a while after.
        self.busy = f"{self.prefix}tq.busy"
        #: queue -> bytes in its dead letters.
        self.dead_bytes = f"{self.prefix}tq.dead"
        #: Bindings of reply queues -> when they may go.
        self.reply_bindings = f"{self.prefix}tq.replies"

    def lists(self, queue_name: str) -> list[str]:
        """Return the lists of a queue, the most urgent first."""
        return [self.prefix + self._list(queue_name, step) for step in self.steps]

    def list_for(self, queue_name: str, priority: Any) -> str:
        """Return the list in which a message of this priority waits."""
        step = self._usual_step if priority is None else self.step(priority)
        return self.prefix + self._list(queue_name, step)

    def step(self, priority: Any) -> int:
        """Return the step of a priority, as kombu rounds it."""
        number = min(max(priority, 0), 9) if isinstance(priority, int) else 0
        return self.steps[max(0, bisect(self.steps, number) - 1)]

    def _list(self, queue_name: str, step: int) -> str:
        return f"{queue_name}{self.separator}{step}" if step else queue_name

    def dead(self, queue_name: str) -> str:
        """Return the list of a queue's dead letters, the newest left."""
        return f"{self.prefix}{queue_name}.dead"

    def parked(self, queue_name: str) -> str:
        """Return the index of what is parked of a queue: tag by due time."""
        return f"{self.prefix}tq.parked.{queue_name}"

    def lease(self, uuid: str) -> str:
        """Return the key that exists while a consumer lives."""
        return f"{self.prefix}tq.lease.{uuid}"

    def binding(self, exchange: str) -> str:
        """Return the set of an exchange's bindings."""
        return f"{self.prefix}{_BINDING}{exchange}"

    def permanent(self, exchange: str) -> str:
        """Return the set that keeps kombu's sweep from an exchange's bindings."""
        return f"{self.prefix}_kombu.binding_permanent.{exchange}"

    def fanout_queues(self, exchange: str) -> str:
        """Return the set of queues of ours that get copies of what a fanout exchange sends."""
        return f"{self.prefix}tq.fanout.{exchange}"

    def passing_queues(self, exchange: str) -> str:
        """Return the index of bindings of ours that end with their reader: binding by deadline."""
        return f"{self.prefix}tq.passing.{exchange}"

    def heard(self, queue_name: str, digest: str) -> str:
        """Return the key that says that a queue has its copy of what was published."""
        return f"{self.prefix}tq.heard.{queue_name}.{digest}"

    def exchange_of(self, binding_key: str) -> str:
        """Return the exchange of a set of bindings."""
        return binding_key[len(self.prefix) + len(_BINDING) :]

    @property
    def any_binding(self) -> str:
        """The pattern that finds every set of bindings."""
        return f"{_escaped(self.prefix)}{_BINDING}*"

    def member(self, exchange: ExchangeSpec, routing_key: str, queue_name: str) -> str:
        """Return a binding as kombu writes it."""
        pattern = _topic_regex(routing_key) if exchange.kind == "topic" else ""
        return self.separator.join((routing_key, pattern, queue_name))

    def binding_of(self, member: bytes) -> tuple[str, str, str]:
        """Return (routing key, pattern, queue) of a binding; empty words where it is torn."""
        words = member.decode(errors="replace").split(self.separator)
        words += [""] * (3 - len(words))
        return words[0], words[1], words[2]

    def channel(self, exchange: str, routing_key: str) -> str:
        """Return the channel on which an exchange's messages are published."""
        channel = self._channel + exchange
        return f"{channel}/{routing_key}" if routing_key and self.has_patterns else channel

    def routing_key_of(self, channel: str, exchange: str) -> str:
        """Return the routing key that stands in a channel's name."""
        return channel[len(self._channel) + len(exchange) + 1 :]


def tail_of(queue_name: str) -> bytes:
    """Return what follows the envelope in an entry of `unacked`: kombu restores by it."""
    return b',"",' + encode_json(queue_name) + b"]"


def envelope_of(entry: bytes) -> tuple[bytes, str]:
    """Return (envelope, queue) of an entry of `unacked` that we wrote; ("", "") for a torn one."""
    envelope, mark, queue = entry[1:-1].rpartition(b',"",')
    if not mark:
        return b"", ""
    name = decode_json(queue)
    return envelope, name if isinstance(name, str) else ""


def _steps(value: Any) -> tuple[int, ...]:
    if value is None:
        return _STEPS
    try:
        steps = tuple(sorted({int(step) for step in value}))
    except (TypeError, ValueError) as error:
        raise ImproperlyConfigured(f"priority_steps is a list of numbers, not {value!r}") from error
    if not steps:
        raise ImproperlyConfigured("priority_steps is empty: at least one step is needed")
    return steps


def _fanout_prefix(value: Any, db: int) -> str:
    if isinstance(value, str):
        return value.replace("{db}", str(db))
    return f"/{db}." if value else ""


def _topic_regex(routing_key: str) -> str:
    words = {"*": r"[^\.]+", "#": ".*?"}
    return "^" + r"\.".join(words.get(word, _regex_escaped(word)) for word in
                            routing_key.split(".")) + "$"  # fmt: skip


def _regex_escaped(word: str) -> str:
    # kombu leaves `#` and `*` inside a word as they are.
    return "".join(it if it.isalnum() or it in "#*" else f"\\{it}" for it in word)


def _escaped(text: str) -> str:
    """Return `text` so that a glob takes it literally."""
    return "".join(f"\\{it}" if it in "*?[]\\^-" else it for it in text)
