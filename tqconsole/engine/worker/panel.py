"""The worker as its broadcast commands see it: `control.panel.Panel` on machine, pool and broker.

Everything is called in the loop's thread. What changes the machine is handed to it as a happening
and takes effect in the step that follows the command, before anything else is started.
"""

from __future__ import annotations

import importlib
import os
import resource
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec

from tqconsole.engine.alternates import alternates
from tqconsole.engine.brokers.base import Broker, Consumer
from tqconsole.engine.clock import Clock
from tqconsole.engine.exceptions import NotSupportedError
from tqconsole.engine.pools.base import Pool
from tqconsole.engine.protocol.transfer import ExchangeSpec, QueueSpec
from tqconsole.engine.settings import censor
from tqconsole.engine.worker.autoscale import Autoscaler
from tqconsole.engine.worker.hand import Hand
from tqconsole.engine.worker.heart import Heart
from tqconsole.engine.worker.infos import Infos
from tqconsole.engine.worker.rates import parse_rate
from tqconsole.engine.worker.revokes import carries_stamp
from tqconsole.engine.worker.values import (
    Happening,
    Rang,
    RateSet,
    RevokeAsked,
    StampsRevoked,
    Stop,
    TimeLimitSet,
)

_RUSAGE_FIELDS = (
    "utime", "stime", "maxrss", "ixrss", "idrss", "isrss", "minflt", "majflt", "nswap", "inblock",
    "oublock", "msgsnd", "msgrcv", "nsignals", "nvcsw", "nivcsw",
)  # fmt: skip


class PanelParts(msgspec.Struct, frozen=True):
    """What the panel works on. `tell` hands a happening to the machine's next step."""

    app: Any
    hostname: str
    hand: Hand
    pool: Pool
    broker: Broker
    consumer: Consumer
    heart: Heart
    clock: Clock
    tell: Callable[[Happening], None]
    queues: dict[str, QueueSpec]
    autoscaler: Autoscaler | None = None


class WorkerPanel:
    """One method for each thing a command may ask."""

    def __init__(self, parts: PanelParts) -> None:
        self._parts = parts
        self._hand = parts.hand
        self._infos = Infos(parts.hostname, parts.app.accept_content)
        self._started_mono = parts.clock.mono()

    @property
    def hostname(self) -> str:
        """The node name."""
        return self._parts.hostname

    @property
    def app(self) -> Any:
        """The App."""
        return self._parts.app

    # --- looking ------------------------------------------------------------------------------

    def active(self) -> list[dict[str, Any]]:
        """Return request infos of what runs."""
        return [self._infos.of_entry(entry) for entry in self._hand.running.values()]

    def reserved(self) -> list[dict[str, Any]]:
        """Return request infos of what waits for a slot or for its rate."""
        waiting_ids = {id(entry) for _, _, entry in self._hand.waiting}
        return [
            self._infos.of_entry(entry)
            for entry in self._hand.not_started()
            if id(entry) not in waiting_ids
        ]

    def scheduled(self) -> list[dict[str, Any]]:
        """Return what waits for its time: held here, then parked in the broker."""
        broker = self._parts.broker
        items = [
            self._infos.waiting(entry, due_at) for due_at, _, entry in sorted(self._hand.waiting)
        ]
        if broker.capabilities.can_list_parked:
            parked = map(self._infos.parked, broker.parked(list(self._parts.queues)))
            items.extend(item for item in parked if item is not None)
        return items

    def query_task(self, task_ids: Sequence[str]) -> dict[str, Any]:
        """Return id -> [state word, info] of those in hand."""
        wanted = set(task_ids)
        scheduled = {id(entry) for _, _, entry in self._hand.waiting}
        found: dict[str, Any] = {}
        for entry in self._hand.not_started():
            word = "scheduled" if id(entry) in scheduled else "reserved"
            if entry.header.task_id in wanted:
                found[entry.header.task_id] = [word, self._infos.of_entry(entry)]
        for entry in self._hand.running.values():
            if entry.header.task_id in wanted:
                found[entry.header.task_id] = ["active", self._infos.of_entry(entry)]
        return found

    def queues(self) -> list[dict[str, Any]]:
        """Return the reply of `active_queues`."""
        return [_queue_fields(spec) for spec in self._parts.queues.values()]

    def stats(self) -> dict[str, Any]:
        """Return the whole reply of `stats` (wire.md §6.4)."""
        parts, hand = self._parts, self._hand
        now_mono = parts.clock.mono()
        fields = {
            "total": dict(hand.totals),
            "pid": os.getpid(),
            "clock": str(parts.app.clock.value),
            "uptime": int(now_mono - self._started_mono),
            "pool": parts.pool.info(),
            "broker": broker_fields(
                parts.broker,
                str(parts.app.conf.broker_failover_strategy or "round-robin"),
                parts.app.conf.broker_transport_options,
            ),
            "prefetch_count": hand.window.size(hand.slot_count, now_mono),
            "rusage": _rusage(),
        }
        if parts.autoscaler is not None:
            count = hand.in_window_count()
            fields["autoscaler"] = dict(parts.autoscaler.info(parts.pool.slot_count, count))
        return fields

    # --- revoking -----------------------------------------------------------------------------

    def revoked_ids(self) -> list[str]:
        """Return the flagged ids, oldest first."""
        return self._hand.revokes.task_ids()

    def revoke(self, task_ids: Sequence[str]) -> None:
        """Flag ids; what is in hand and has not started ends at once, what waits elsewhere is on
        record as revoked.
        """
        self._parts.tell(RevokeAsked(list(dict.fromkeys(task_ids)), is_recorded=True))

    def merge_revoked(self, task_ids: Sequence[str]) -> None:
        """Take over another node's flagged ids."""
        self._parts.tell(RevokeAsked(list(task_ids)))

    def revoke_stamped(self, headers: Mapping[str, Any]) -> list[str]:
        """Flag stamps; return the ids of running tasks that carry one."""
        self._parts.tell(StampsRevoked(dict(headers)))
        return [
            entry.header.task_id
            for entry in self._hand.running.values()
            if carries_stamp(entry.header, headers)
        ]

    def terminate(self, task_ids: Sequence[str], signal_name: str) -> list[str]:
        """Kill what runs of these ids and revoke all; return the ids found running."""
        if not self._parts.pool.can_terminate:
            raise NotSupportedError(
                f"{self._parts.pool.implementation} cannot terminate tasks: use -P prefork"
            )
        signum = signal_number(signal_name)
        self._parts.tell(RevokeAsked(list(dict.fromkeys(task_ids)), signum, is_recorded=True))
        wanted = set(task_ids)
        return [
            entry.header.task_id
            for entry in self._hand.running.values()
            if entry.header.task_id in wanted
        ]

    # --- limits -------------------------------------------------------------------------------

    def set_rate_limit(self, task_name: str, rate_limit: str | float | None) -> None:
        """Replace a task's rate here."""
        rate_per_s = parse_rate(rate_limit)
        if task_name not in self._hand.policies:
            raise KeyError(task_name)
        # As in Celery: whoever asks for the registered tasks sees the rate that holds.
        self._parts.app.tasks[task_name].rate_limit = rate_limit
        self._parts.tell(RateSet(task_name, rate_per_s))

    def set_time_limit(self, task_name: str, hard_s: float | None, soft_s: float | None) -> None:
        """Replace a task's limits for later runs."""
        if task_name not in self._hand.policies:
            raise KeyError(task_name)
        task = self._parts.app.tasks[task_name]
        task.time_limit, task.soft_time_limit = hard_s, soft_s
        self._parts.tell(TimeLimitSet(task_name, hard_s, soft_s))

    # --- events -------------------------------------------------------------------------------

    def enable_events(self) -> bool:
        """Force task events on."""
        return self._parts.heart.force_events(is_on=True)

    def disable_events(self) -> bool:
        """Force task events off."""
        return self._parts.heart.force_events(is_on=False)

    def send_heartbeat(self) -> None:
        """Send one short heartbeat now."""
        self._parts.heart.send_short()

    # --- the pool -----------------------------------------------------------------------------

    def pool_grow(self, count: int) -> None:
        """Add slots."""
        self._refuse_under_autoscale()
        self._parts.pool.grow(count)

    def pool_shrink(self, count: int) -> None:
        """Take slots away."""
        self._refuse_under_autoscale()
        slot_count = self._parts.pool.slot_count
        if self._parts.pool.can_resize and count >= slot_count:
            raise ValueError(
                f"cannot take {count} of {slot_count} slots: one has to stay. To have it run"
                " nothing use cancel_consumer, to end it shutdown"
            )
        self._parts.pool.shrink(count)

    def _refuse_under_autoscale(self) -> None:
        if self._parts.autoscaler is not None:
            raise ValueError("the pool scales itself: use the autoscale command")

    def pool_restart(self, modules: Sequence[str] | None, *, is_reloading: bool) -> None:
        """Replace the children as they come free, after importing `modules`."""
        if not self._parts.app.conf.worker_pool_restarts:
            raise ValueError("Pool restarts not enabled")
        for name in modules or ():
            module = importlib.import_module(name)
            if is_reloading and name in sys.modules:
                importlib.reload(module)
        self._parts.pool.restart()

    def autoscale(self, max_count: int | None, min_count: int | None) -> tuple[int, int]:
        """Set the bounds and return them."""
        if self._parts.autoscaler is None:
            raise ValueError("Autoscale not enabled")
        return self._parts.autoscaler.set_bounds(max_count, min_count)

    # --- queues -------------------------------------------------------------------------------

    def add_consumer(
        self,
        queue: str,
        exchange: str | None,
        exchange_type: str | None,
        routing_key: str | None,
        options: Mapping[str, Any],
    ) -> bool:
        """Consume from a queue too; False when it already is."""
        if queue in self._parts.queues:
            return False
        if exchange or exchange_type or routing_key or options:
            spec = _spec(queue, exchange, exchange_type, routing_key, options)
        else:
            spec = self._parts.app.queue_spec(queue)
        self._parts.consumer.add_queue(spec)
        self._parts.queues[queue] = spec
        # What waits in it already rings no bell.
        self._parts.tell(Rang())
        return True

    def cancel_consumer(self, queue: str) -> None:
        """Stop consuming from a queue; one that is not consumed from is fine."""
        self._parts.consumer.cancel_queue(queue)
        self._parts.queues.pop(queue, None)

    def shutdown(self) -> None:
        """Begin the warm shutdown."""
        self._parts.tell(Stop())


def signal_number(name: str) -> int:
    """Return the number of `TERM`, `SIGTERM` or `15`. Raises: ValueError."""
    text = str(name).upper()
    try:
        if text.isdigit():
            return int(signal.Signals(int(text)))
        return int(signal.Signals[text if text.startswith("SIG") else f"SIG{text}"])
    except (KeyError, ValueError):
        raise ValueError(f"no such signal: {name}") from None


def _spec(
    queue: str,
    exchange: str | None,
    exchange_type: str | None,
    routing_key: str | None,
    options: Mapping[str, Any],
) -> QueueSpec:
    arguments = options.get("queue_arguments")
    return QueueSpec(
        name=queue,
        exchange=ExchangeSpec(exchange or queue, exchange_type or "direct"),
        routing_key=routing_key or queue,
        is_durable=bool(options.get("durable", True)),
        is_auto_delete=bool(options.get("auto_delete", False)),
        is_exclusive=bool(options.get("exclusive", False)),
        arguments=dict(arguments) if isinstance(arguments, Mapping) else {},
    )


def _queue_fields(spec: QueueSpec) -> dict[str, Any]:
    """Return an item of `active_queues` (wire.md §6.5)."""
    return {
        "name": spec.name,
        "exchange": {
            "name": spec.exchange.name,
            "type": spec.exchange.kind,
            "arguments": None,
            "durable": spec.exchange.is_durable,
            "passive": False,
            "auto_delete": False,
            "delivery_mode": None,
            "no_declare": False,
        },
        "routing_key": spec.routing_key,
        "queue_arguments": spec.arguments or None,
        "binding_arguments": None,
        "consumer_arguments": None,
        "durable": spec.is_durable,
        "exclusive": spec.is_exclusive,
        "auto_delete": spec.is_auto_delete,
        "no_ack": False,
        "alias": None,
        "bindings": [],
        "no_declare": None,
        "expires": spec.expires_s,
        "message_ttl": spec.message_ttl_s,
        "max_length": None,
        "max_length_bytes": None,
        "max_priority": spec.max_priority,
    }


def broker_fields(
    broker: Broker, strategy: str, options: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the "broker" part of stats; no secret stands in it."""
    first, *others = alternates(broker.url)
    parts = urlsplit(first)
    try:
        port = parts.port
    except ValueError:
        port = None
    return {
        "hostname": parts.hostname,
        "userid": parts.username,
        "virtual_host": parts.path.lstrip("/") or "/",
        "port": port,
        "insist": False,
        "ssl": parts.scheme in ("rediss", "amqps"),
        "transport": broker.transport,
        "connect_timeout": 4,
        "transport_options": censor("", dict(options or {})),
        "login_method": None,
        "uri_prefix": None,
        "heartbeat": None,
        "failover_strategy": strategy,
        "alternates": others,
        "credential_provider": None,
    }


def _rusage() -> dict[str, float]:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {name: getattr(usage, f"ru_{name}") for name in _RUSAGE_FIELDS}
