"""The queues of an app: what the settings describe, what is made when a name is unknown, which are
consumed, and the address of a call.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from tqconsole.engine.exceptions import ImproperlyConfigured, QueueNotFound
from tqconsole.engine.protocol.transfer import Binding, ExchangeSpec, QueueSpec
from tqconsole.engine.routing import describe_queue, described_queues

_DELIVERY_MODES = {"transient": 1, "persistent": 2}


class Address(NamedTuple):
    """Where a call is published; `queue` is None when only an exchange was named."""

    exchange: str
    routing_key: str
    queue: QueueSpec | None
    delivery_mode: int


class QueueTable:
    """Queues by name. Built anew when the settings change; used by all threads.

    `version` grows when a queue is described anew: what was worked out of addresses is void then.
    """

    def __init__(self, conf: Any) -> None:
        self._default_name = str(conf.task_default_queue)
        self._default_exchange = str(conf.task_default_exchange)
        self._default_kind = str(conf.task_default_exchange_type)
        self._default_key = str(conf.task_default_routing_key)
        self._default_mode = delivery_mode(conf.task_default_delivery_mode)
        self._max_priority = conf.task_queue_max_priority
        self._can_create = bool(conf.task_create_missing_queues)
        self._created_kind = conf.task_create_missing_queue_exchange_type or "direct"
        self._created_type = conf.task_create_missing_queue_type
        self._default_type = conf.task_default_queue_type
        self.version = 0
        self._modes: dict[str, int] = {}
        self._specs: dict[str, QueueSpec] = {}
        #: What a queue with a name nobody can know is called: kombu's `Broadcast`.
        self._aliases: dict[str, str] = {}
        for fields in described_queues(conf.task_queues):
            self.add(fields)
        self._listed = tuple(self._specs)
        if self._default_name not in self._specs:
            self._specs[self._default_name] = self._default_spec()

    def add(self, queue: Any) -> QueueSpec:
        """Take in a QueueSpec, fields, or a kombu Queue, and return its spec."""
        if isinstance(queue, QueueSpec):
            self._describe(queue, None)
            return queue
        fields = queue if isinstance(queue, dict) else describe_queue(queue)
        spec = self._spec_of(fields)
        if fields.get("alias"):
            self._aliases[fields["alias"]] = spec.name
        mode = fields.get("delivery_mode")
        self._describe(spec, None if mode is None else delivery_mode(mode))
        return spec

    def _describe(self, spec: QueueSpec, mode: int | None) -> None:
        mode = self._modes.get(spec.name) if mode is None else mode
        if (self._specs.get(spec.name), self._modes.get(spec.name)) == (spec, mode):
            return
        self._specs[spec.name] = spec
        if mode is not None:
            self._modes[spec.name] = mode
        # Last, so that nothing is worked out of the old description under the new number.
        self.version += 1

    def spec(self, queue: Any) -> QueueSpec:
        """Return the spec of a queue given by name or as an object.

        Raises: QueueNotFound for an unknown name that may not be made.
        """
        if not isinstance(queue, str):
            return self.add(queue)
        spec = self._specs.get(self._aliases.get(queue, queue))
        if spec is not None:
            return spec
        if not self._can_create:
            raise QueueNotFound(
                f"Queue {queue!r} is not in task_queues and task_create_missing_queues is off. "
                f"Known: {', '.join(sorted(self._specs))}"
            )
        spec = QueueSpec(
            queue,
            ExchangeSpec(queue, str(self._created_kind)),
            queue,
            max_priority=self._max_priority,
            arguments=_type_arguments(self._created_type),
        )
        self._specs[queue] = spec
        return spec

    def to_consume(
        self, selected: Iterable[str] | None, excluded: Iterable[str]
    ) -> list[QueueSpec]:
        """Return what a worker reads: the selected queues, else all listed, else the default."""
        names = tuple(selected) if selected is not None else self._listed or (self._default_name,)
        unwanted = {self._aliases.get(name, name) for name in excluded}
        wanted = [self.spec(name) for name in names if name not in unwanted]
        return [spec for spec in wanted if spec.name not in unwanted]

    def no_ack_names(self) -> frozenset[str]:
        """Return the names of those whose messages are acknowledged before they run, always."""
        return frozenset(name for name, spec in self._specs.items() if spec.is_no_ack)

    def names(self) -> list[str]:
        """Return the names known so far, sorted."""
        return sorted(self._specs)

    def address(self, options: dict[str, Any]) -> Address:
        """Take queue, exchange, routing_key, exchange_type and delivery_mode out of `options`.

        Raises: QueueNotFound.
        """
        # An empty name means none, as in Celery.
        wanted = options.pop("queue", None) or None
        exchange = options.pop("exchange", None)
        routing_key = options.pop("routing_key", None)
        kind = options.pop("exchange_type", None)
        mode = options.pop("delivery_mode", None)
        if exchange is not None and not isinstance(exchange, str):
            # A kombu Exchange.
            kind = kind or getattr(exchange, "type", None)
            mode = getattr(exchange, "delivery_mode", None) if mode is None else mode
            exchange = _text("exchange", getattr(exchange, "name", exchange))
        if routing_key is not None:
            _text("routing_key", routing_key)
        spec = None
        if wanted is not None or exchange is None:
            spec = self.spec(self._default_name if wanted is None else wanted)
        if mode is None:
            mode = self._modes.get(spec.name, self._default_mode) if spec else self._default_mode
        if spec is None:
            return self._exchange_address(exchange, routing_key, kind, delivery_mode(mode))
        return _queue_address(spec, exchange, routing_key, kind, delivery_mode(mode))

    def _exchange_address(
        self, exchange: str, routing_key: str | None, kind: str | None, mode: int
    ) -> Address:
        if routing_key or (kind or "direct") != "direct":
            return Address(exchange, routing_key or self._default_key, None, mode)
        # An exchange without a key cannot say which of its queues is meant: Celery sends to the
        # default queue then (wire.md §1.5).
        return Address("", self._default_name, self.spec(self._default_name), mode)

    def _default_spec(self) -> QueueSpec:
        return QueueSpec(
            self._default_name,
            ExchangeSpec(self._default_exchange, self._default_kind),
            self._default_key,
            max_priority=self._max_priority,
            arguments=_type_arguments(self._default_type),
        )

    def _spec_of(self, fields: dict[str, Any]) -> QueueSpec:
        arguments = dict(fields.get("queue_arguments") or {})
        limit = fields.get("max_priority")
        if limit is None:
            limit = arguments.pop("x-max-priority", self._max_priority)
        name = fields.get("name")
        if not isinstance(name, str) or not name:
            raise ImproperlyConfigured(f"task_queues: a queue has no name: {fields!r}")
        exchange = fields.get("exchange")
        if exchange is not None and not isinstance(exchange, str):
            # A mapping may hold a kombu Exchange.
            fields = {
                "exchange_type": exchange.type,
                "exchange_durable": exchange.durable,
                **fields,
            }
            exchange = exchange.name
        kind = fields.get("exchange_type") or ("direct" if exchange else self._default_kind)
        key = fields.get("routing_key") or fields.get("binding_key")
        return QueueSpec(
            name,
            ExchangeSpec(
                exchange or self._default_exchange, kind, bool(fields.get("exchange_durable", True))
            ),
            # Also for fanout, where it should not matter: kombu's Redis listens by it.
            key or self._default_key,
            is_durable=bool(fields.get("durable", True)),
            is_auto_delete=bool(fields.get("auto_delete", False)),
            is_exclusive=bool(fields.get("exclusive", False)),
            expires_s=fields.get("expires"),
            message_ttl_s=fields.get("message_ttl"),
            max_priority=limit,
            arguments=arguments,
            binding_arguments=dict(fields.get("binding_arguments") or {}),
            bindings=tuple(map(_binding, fields.get("bindings") or ())),
            is_no_ack=bool(fields.get("no_ack", False)),
        )


def _binding(binding: Any) -> Binding:
    """Return one of a kombu Queue's further bindings (kombu.binding)."""
    exchange = binding.exchange
    return Binding(
        ExchangeSpec(exchange.name, exchange.type or "direct", bool(exchange.durable)),
        binding.routing_key or "",
        dict(binding.arguments or {}),
    )


def delivery_mode(value: Any) -> int:
    """Return 1 or 2 of a number or a word. Raises: ImproperlyConfigured."""
    mode = _DELIVERY_MODES.get(value, value) if isinstance(value, str) else value
    if mode not in (1, 2):
        raise ImproperlyConfigured(
            f"delivery_mode is {value!r}: it is 1 (transient) or 2 (persistent)"
        )
    return int(mode)


def _text(what: str, value: Any) -> str:
    if not isinstance(value, str):
        raise ImproperlyConfigured(f"{what} is a name, not {value!r:.60}")
    return value


def is_plain(queue: QueueSpec) -> bool:
    """Return True when a broker that makes the queue by its name alone makes it right."""
    return not (queue.arguments or queue.max_priority or queue.expires_s or queue.message_ttl_s)


def _queue_address(
    spec: QueueSpec, exchange: str | None, routing_key: str | None, kind: str | None, mode: int
) -> Address:
    if exchange and routing_key:
        return Address(exchange, routing_key, spec, mode)
    if (kind or spec.exchange.kind) == "direct":
        # By the default exchange: one queue is meant, and its bindings do not matter.
        return Address("", spec.name, spec, mode)
    return Address(exchange or spec.exchange.name, routing_key or spec.routing_key, spec, mode)


def _type_arguments(queue_type: Any) -> dict[str, Any]:
    # "classic" is what brokers make anyway; saying so would clash with queues that exist.
    return {} if queue_type in (None, "classic") else {"x-queue-type": queue_type}
