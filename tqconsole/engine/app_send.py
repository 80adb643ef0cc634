"""From a call to the broker: options to a message, its address, and its publication.

The phase between `apply_async` and `Broker.publish`. What the settings say is worked out once per
change of theirs; a call costs one dict of options, one message and one trip. Nothing here decides
what a task is or when it runs.
"""

from __future__ import annotations

import os
import socket
import uuid
import warnings
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta, tzinfo
from typing import Any, NamedTuple, Protocol

import msgspec

from tqconsole.engine import current
from tqconsole.engine.app_publish import Publisher, PublishingApp
from tqconsole.engine.app_queues import Address, QueueTable
from tqconsole.engine.canvas.signature import plain
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.task import NO_EMBED, Embed, TaskCall, encode_task
from tqconsole.engine.protocol.transfer import Publication
from tqconsole.engine.result import AsyncResult
from tqconsole.engine.routing import Router
from tqconsole.engine.signals import after_task_publish, before_task_publish, task_sent

#: Options that name Celery's plumbing: our broker is one, so there is nothing to choose.
_PLUMBING = (
    "producer",
    "connection",
    "publisher",
    "router",
    "declare",
    "confirm_timeout",
    "result_cls",
    "origin",
    "task_type",
    "route_name",
    "add_to_parent",
)

#: Options that are fields of the call under the same name.
_SAME_NAMES = (
    "shadow",
    "group_id",
    "group_index",
    "ignore_result",
    "argsrepr",
    "kwargsrepr",
    "serializer",
    "compression",
)


class SendingApp(PublishingApp, Protocol):
    """What sending needs of the App."""

    @property
    def oid(self) -> str:
        """The address for results of this thread's calls."""
        ...

    @property
    def timezone(self) -> tzinfo:
        """The zone of naive instants."""
        ...

    def AsyncResult(self, id: str, **fields: Any) -> AsyncResult:
        """Return the result of an id."""
        ...

    def send_event(self, event_type: str, **fields: Any) -> None:
        """Tell whoever listens."""
        ...


class Sending(NamedTuple):
    """A call that is ready to be published."""

    publication: Publication
    call: TaskCall
    address: Address
    result: AsyncResult
    parent: Any
    policy: dict[str, Any]


class _Defaults(NamedTuple):
    """What the settings say of sending, at one version of theirs."""

    version: int
    router: Router
    queues: QueueTable
    serializer: str
    compression: str | None
    priority: int | None
    is_priority_inherited: bool
    repr_levels: int
    is_event_sent: bool


class Sender:
    """Builds and publishes the calls of one app. Thread-safe."""

    def __init__(self, app: SendingApp) -> None:
        self._app = app
        self._known: _Defaults | None = None
        self._publisher = Publisher(app)
        self._origin = (0, "")

    @property
    def queues(self) -> QueueTable:
        """The queues as the settings have them now."""
        return self._defaults().queues

    def build(self, name: str, args: Any, kwargs: Any, options: dict[str, Any]) -> Sending:
        """Return the call as a publication; its queue is declared if it is a special one.

        Raises: EncodeError, QueueNotFound, ImproperlyConfigured, ValueError for instants that
        cannot be. Nothing was sent then.
        """
        defaults = self._defaults()
        rest = dict(options)
        parent = current.get_current_worker_task() if rest.get("add_to_parent", True) else None
        policy = {key: rest.pop(key, None) for key in ("retry", "retry_policy", "timeout")}
        address = self._address(defaults, name, args, kwargs, rest)
        call = self._call(defaults, name, args, kwargs, rest, address)
        message = self._message(call, address, rest, policy)
        publication = Publication(message, address.routing_key, address.exchange)
        self._publisher.declare(address, policy)
        result = self._app.AsyncResult(call.task_id, task_name=name)
        result.ignored = bool(call.ignore_result)
        return Sending(publication, call, address, result, parent, policy)

    def send(self, sendings: Sequence[Sending]) -> list[AsyncResult]:
        """Publish in one trip and return the results.

        Raises: OperationalError when the broker could not be reached; nothing was sent then.
        """
        if sendings:
            policy = sendings[0].policy
            self._publisher.publish([sending.publication for sending in sendings], policy)
        for sending in sendings:
            self._after(sending)
        return [sending.result for sending in sendings]

    def publish(self, publications: Sequence[Publication], policy: dict[str, Any]) -> None:
        """Publish messages in one trip, by the publish policy. Raises: OperationalError."""
        self._publisher.publish(publications, policy)

    def origin(self) -> str:
        """Return this process's name as a sender."""
        pid = os.getpid()
        if self._origin[0] != pid:
            self._origin = (pid, f"gen{pid}@{socket.gethostname()}")
        return self._origin[1]

    def _defaults(self) -> _Defaults:
        conf = self._app.conf
        known = self._known
        if known is not None and known.version == conf.version:
            return known
        router = Router(conf.task_routes)
        made = _Defaults(
            # After the first look: it may read the configuration source, which is a change.
            version=conf.version,
            router=router,
            queues=QueueTable(conf),
            serializer=conf.task_serializer,
            compression=conf.task_compression,
            priority=conf.task_default_priority,
            is_priority_inherited=conf.task_inherit_parent_priority,
            repr_levels=conf.task_repr_maxlevels,
            is_event_sent=conf.task_send_sent_event,
        )
        self._known = made
        return made

    def _address(
        self, defaults: _Defaults, name: str, args: Any, kwargs: Any, rest: dict[str, Any]
    ) -> Address:
        """Take the address out of the options; the call's own win over the route's."""
        if defaults.router:
            route = defaults.router.lookup(
                rest.get("route_name") or name, args, kwargs, rest, rest.get("task_type")
            )
            if "rate_limit" in route:
                warnings.warn(
                    "task_routes: rate_limit has no effect in a route; use task_annotations",
                    stacklevel=5,
                )
                route.pop("rate_limit")
            for key, value in route.items():
                if rest.get(key) is None:
                    rest[key] = value
        return defaults.queues.address(rest)

    def _call(
        self,
        defaults: _Defaults,
        name: str,
        args: Any,
        kwargs: Any,
        rest: dict[str, Any],
        address: Address,
    ) -> TaskCall:
        """Take everything the call says out of `rest`; what stays are properties of its own."""
        take = rest.pop
        task_id = take("task_id", None) or str(uuid.uuid4())
        root_id, parent_id, priority = self._lineage(defaults, task_id, rest)
        eta, expires, expiration_ms = self._instants(rest)
        stamped_headers = take("stamped_headers", None)
        stamps = {stamp: take(stamp, None) for stamp in stamped_headers or ()}
        own = {field: take(field, None) for field in _SAME_NAMES}
        own["serializer"] = own["serializer"] or defaults.serializer
        own["compression"] = own["compression"] or defaults.compression
        reply_to = take("reply_to", None)
        call = TaskCall(
            task_id=task_id,
            task_name=name,
            args=args if args is not None else (),
            kwargs=kwargs if kwargs is not None else {},
            embed=_embed(rest),
            root_id=root_id,
            parent_id=parent_id,
            retries=take("retries", None) or 0,
            eta=eta,
            expires=expires,
            expiration_ms=expiration_ms,
            hard_limit_s=take("time_limit", None),
            soft_limit_s=take("soft_time_limit", None),
            origin=self.origin(),
            reply_to=self._app.oid if reply_to is None else reply_to,
            priority=priority,
            delivery_mode=address.delivery_mode,
            replaced_nesting=take("replaced_task_nesting", None) or 0,
            stamped_headers=list(stamped_headers) if stamped_headers else None,
            stamps=stamps,
            headers=take("headers", None) or {},
            repr_levels=defaults.repr_levels,
            **own,
        )
        for option in _PLUMBING:
            take(option, None)
        return call

    def _lineage(
        self, defaults: _Defaults, task_id: str, rest: dict[str, Any]
    ) -> tuple[str, str | None, int | None]:
        """Return root id, parent id and priority: the call's own, else the sending task's."""
        root_id, parent_id = rest.pop("root_id", None), rest.pop("parent_id", None)
        priority = rest.pop("priority", None)
        sending_task = current.get_current_worker_task()
        if sending_task is not None:
            run = sending_task.request
            root_id = root_id or run.root_id or run.id
            parent_id = parent_id or run.id
            if priority is None and defaults.is_priority_inherited:
                priority = (run.delivery_info or {}).get("priority")
        return root_id or task_id, parent_id, defaults.priority if priority is None else priority

    def _instants(self, rest: dict[str, Any]) -> tuple[str | None, str | None, int | None]:
        """Return eta, expires and the broker's deadline in milliseconds."""
        countdown, eta = rest.pop("countdown", None), rest.pop("eta", None)
        expires = rest.pop("expires", None)
        if not (countdown or eta or expires):
            return None, None, None
        zone = self._app.timezone
        now = datetime.fromtimestamp(self._app.wall_clock.now(), zone)
        # countdown=0 is no countdown, as in Celery.
        due = _instant("countdown", countdown, now, zone) if countdown else None
        due = due or (_instant("eta", eta, now, zone) if eta else None)
        if not expires:
            return due.isoformat() if due else None, None, None
        end = _instant("expires", expires, now, zone)
        left_s = (end - now).total_seconds()
        if left_s < 0:
            warnings.warn(f"the call has expired already, {-left_s:.0f} s ago", stacklevel=6)
        return due.isoformat() if due else None, end.isoformat(), max(0, round(left_s * 1000))

    def _message(
        self, call: TaskCall, address: Address, properties: dict[str, Any], policy: dict[str, Any]
    ) -> Message:
        message = encode_task(call)
        message.properties.update(properties)
        if not before_task_publish.receivers:
            return message
        body = (list(call.args), dict(call.kwargs), msgspec.structs.asdict(call.embed))
        before_task_publish.send(
            sender=call.task_name,
            body=body,
            exchange=address.exchange,
            routing_key=address.routing_key,
            headers=message.headers,
            properties=message.properties,
            declare=[address.queue] if address.queue else [],
            retry_policy=policy["retry_policy"],
        )
        # A receiver may have changed the arguments in place.
        changed = msgspec.structs.replace(
            call, args=body[0], kwargs=body[1], embed=Embed(**body[2])
        )
        again = encode_task(changed)
        return Message(
            again.body,
            again.content_type,
            again.content_encoding,
            message.headers,
            message.properties,
        )

    def _after(self, sending: Sending) -> None:
        call, message, address = sending.call, sending.publication.message, sending.address
        if sending.parent is not None:
            sending.parent.add_trail(sending.result)
        if after_task_publish.receivers:
            after_task_publish.send(
                sender=call.task_name,
                body=(call.args, call.kwargs, msgspec.structs.asdict(call.embed)),
                headers=message.headers,
                exchange=address.exchange,
                routing_key=address.routing_key,
            )
        if task_sent.receivers:
            task_sent.send(
                sender=call.task_name,
                task_id=call.task_id,
                task=call.task_name,
                args=call.args,
                kwargs=call.kwargs,
                eta=call.eta,
                taskset=call.group_id,
            )
        if self._defaults().is_event_sent:
            self._app.send_event("task-sent", **_sent_fields(message, address))


def _embed(rest: dict[str, Any]) -> Embed:
    callbacks, errbacks = _calls(rest.pop("link", None)), _calls(rest.pop("link_error", None))
    chain, chord = rest.pop("chain", None), rest.pop("chord", None)
    if not (callbacks or errbacks or chain or chord):
        return NO_EMBED
    return Embed(callbacks, errbacks, _calls(chain), plain(chord) if chord else None)


def _calls(value: Any) -> list[dict[str, Any]] | None:
    """Return one signature or many as a list of plain dicts."""
    if not value:
        return None
    entries: Iterable[Any] = value if isinstance(value, list | tuple) else [value]
    return [plain(entry) for entry in entries]


def _instant(option: str, value: Any, now: datetime, zone: tzinfo) -> datetime:
    """Return an instant given as seconds from now, as a datetime or as ISO text."""
    try:
        if isinstance(value, str):
            value = datetime.fromisoformat(value)
        if isinstance(value, timedelta):
            return now + value
        if isinstance(value, datetime):
            return value if value.tzinfo is not None else value.replace(tzinfo=zone)
        return now + timedelta(seconds=float(value))
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{option}={value!r} is neither seconds nor an instant: {error}") from None


def _sent_fields(message: Message, address: Address) -> dict[str, Any]:
    headers = message.headers
    return {
        "uuid": headers["id"],
        "root_id": headers["root_id"],
        "parent_id": headers["parent_id"],
        "name": headers["shadow"] or headers["task"],
        "args": headers["argsrepr"],
        "kwargs": headers["kwargsrepr"],
        "retries": headers["retries"],
        "eta": headers["eta"],
        "expires": headers["expires"],
        "queue": address.queue.name if address.queue else None,
        "exchange": address.exchange,
        "routing_key": address.routing_key,
    }
