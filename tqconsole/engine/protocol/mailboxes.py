"""How commands and events travel: exchanges, kinds of queues, formats (wire.md §2, §5, §6).

Everybody who speaks or listens is handed one of these. Its defaults are Celery's; what an app's
settings say instead holds for all its ends, so that two clusters can live on one broker.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tqconsole.engine.exceptions import ImproperlyConfigured
from tqconsole.engine.protocol.payload import JSON_ONLY
from tqconsole.engine.protocol.transfer import ExchangeSpec, QueueSpec
from tqconsole.engine.serialization import content_types
from tqconsole.engine.settings import Settings


class QueueKind(msgspec.Struct, frozen=True):
    """What a private queue is declared with. Seconds; None: no bound."""

    expires_s: float | None
    message_ttl_s: float | None
    is_exclusive: bool = True
    is_durable: bool = False


class Mailboxes(msgspec.Struct, frozen=True):
    """Where commands, replies and events go, and how."""

    event_exchange: str = "celeryev"
    event_prefix: str = "celeryev"
    event_kind: QueueKind = QueueKind(expires_s=60.0, message_ttl_s=5.0)
    event_serializer: str = "json"
    #: First part of the names of the exchanges of commands and replies.
    namespace: str = "celery"
    control_kind: QueueKind = QueueKind(expires_s=10.0, message_ttl_s=300.0)
    control_serializer: str = "json"
    #: Content types that are read.
    accepted_events: frozenset[str] = JSON_ONLY
    accepted_commands: frozenset[str] = JSON_ONLY

    @property
    def events(self) -> ExchangeSpec:
        """The exchange of the events."""
        return ExchangeSpec(self.event_exchange, "topic")

    @property
    def commands(self) -> ExchangeSpec:
        """The exchange of the commands."""
        return ExchangeSpec(f"{self.namespace}.pidbox", "fanout", is_durable=False)

    @property
    def replies(self) -> ExchangeSpec:
        """The exchange of the replies."""
        return ExchangeSpec(f"reply.{self.namespace}.pidbox", "direct", is_durable=False)

    def of_monitor(self, uuid: str, binding_key: str = "#") -> QueueSpec:
        """Return the queue in which a monitor finds events."""
        name = f"{self.event_prefix}.{uuid}"
        return _queue(name, self.events, binding_key, self.event_kind)

    def of_node(self, node: str) -> QueueSpec:
        """Return the queue in which a worker finds commands."""
        return _queue(f"{node}.{self.commands.name}", self.commands, "", self.control_kind)

    def of_caller(self, oid: str) -> QueueSpec:
        """Return the queue in which a caller finds replies; its routing key is the caller's oid."""
        return _queue(f"{oid}.{self.replies.name}", self.replies, oid, self.control_kind)


#: As Celery has them when nobody says otherwise.
CELERYS = Mailboxes()


def mailboxes_of(conf: Settings) -> Mailboxes:
    """Return what the settings say.

    Raises: ImproperlyConfigured when a queue is to be exclusive and durable, which cannot be.
    """
    return Mailboxes(
        event_exchange=str(conf.event_exchange),
        event_prefix=str(conf.event_queue_prefix),
        event_kind=_kind(
            "event",
            conf.event_queue_expires,
            conf.event_queue_ttl,
            conf.event_queue_exclusive,
            conf.event_queue_durable,
        ),
        event_serializer=str(conf.event_serializer),
        namespace=str(conf.control_exchange),
        control_kind=_kind(
            "control",
            conf.control_queue_expires,
            conf.control_queue_ttl,
            conf.control_queue_exclusive,
            conf.control_queue_durable,
        ),
        # Celery writes commands as it writes tasks, and its workers read no others.
        control_serializer=str(conf.task_serializer),
        accepted_events=content_types([conf.event_serializer]) | JSON_ONLY,
        accepted_commands=content_types(conf.accept_content or ()) | JSON_ONLY,
    )


def _kind(group: str, expires_s: Any, ttl_s: Any, is_exclusive: Any, is_durable: Any) -> QueueKind:
    if is_exclusive and is_durable:
        raise ImproperlyConfigured(
            f"{group}_queue_exclusive and {group}_queue_durable cannot both be True: a queue of one"
            f" connection ends with it. Set {group}_queue_exclusive=False"
        )
    return QueueKind(_seconds(expires_s), _seconds(ttl_s), bool(is_exclusive), bool(is_durable))


def _seconds(value: Any) -> float | None:
    return None if value is None else float(value)


def _queue(name: str, exchange: ExchangeSpec, routing_key: str, kind: QueueKind) -> QueueSpec:
    return QueueSpec(
        name=name,
        exchange=exchange,
        routing_key=routing_key,
        is_durable=kind.is_durable,
        is_auto_delete=not kind.is_durable,
        is_exclusive=kind.is_exclusive,
        expires_s=kind.expires_s,
        message_ttl_s=kind.message_ttl_s,
    )
