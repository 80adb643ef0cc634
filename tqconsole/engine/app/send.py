"""From a call to the broker: options to a message, its address, and its publication.

The phase between `apply_async` and `Broker.publish`. What the settings say is worked out once per
change of theirs; a call costs one dict of options, one message and one trip. Nothing here decides
what a task is or when it runs.
"""

from __future__ import annotations

import logging
import os
import socket
import warnings
from collections.abc import Sequence
from datetime import datetime, tzinfo
from typing import Any, NamedTuple, Protocol

import msgspec

from tqconsole.engine import current
from tqconsole.engine.app.options import (
    EMBEDDED,
    FIELDS,
    INSTANTS,
    KNOWN,
    arguments,
    embed,
    how_to_send,
    inherit,
    instants,
    keywords,
    stamps,
)
from tqconsole.engine.app.publish import Publisher, PublishingApp
from tqconsole.engine.app.queues import Address, QueueTable
from tqconsole.engine.backends.base import Backend
from tqconsole.engine.exceptions import OperationalError
from tqconsole.engine.protocol.identity import new_id
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.task import Embed, TaskCall, encode_task
from tqconsole.engine.protocol.transfer import Publication
from tqconsole.engine.result import AsyncResult
from tqconsole.engine.routing import Router
from tqconsole.engine.signals import after_task_publish, before_task_publish, task_sent

logger = logging.getLogger(__name__)


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

    @property
    def backend(self) -> Backend:
        """The result store."""
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
    #: Results are sent to the caller, who must listen before the call is.
    are_results_sent: bool


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
        said = {option: value for option, value in options.items() if value is not None}
        policy = how_to_send(said)
        address = self._address(defaults, name, args, kwargs, said)
        sending_task = current.get_current_worker_task()
        call = self._call(defaults, name, args, kwargs, said, sending_task, address)
        properties = {option: said[option] for option in said.keys() - KNOWN - call.stamps.keys()}
        message = self._message(call, address, properties, policy)
        publication = Publication(message, address.routing_key, address.exchange)
        self._publisher.declare(address, policy)
        task = said.get("task_type")
        store = task.backend if task is not None and task.has_own_store else None
        result = self._app.AsyncResult(call.task_id, task_name=name, backend=store)
        result.ignored = bool(call.ignore_result)
        parent = sending_task if said.get("add_to_parent", True) else None
        return Sending(publication, call, address, result, parent, policy)

    def send(self, sendings: Sequence[Sending]) -> list[AsyncResult]:
        """Publish in one trip and return the results.

        Raises: OperationalError when the broker could not be reached; nothing was sent then.
        """
        if sendings:
            if self._defaults().are_results_sent:
                self._expect_results(sendings)
            # Before the publish: a worker may have the task before this thread goes on.
            sent_at = self._app.wall_clock.now()
            policy = sendings[0].policy
            self._publisher.publish([sending.publication for sending in sendings], policy)
            for sending in sendings:
                self._after(sending, sent_at)
        return [sending.result for sending in sendings]

    def _expect_results(self, sendings: Sequence[Sending]) -> None:
        own = self._app.oid
        if any(it.call.reply_to == own and not it.call.ignore_result for it in sendings):
            self._app.backend.expect(own)

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
            are_results_sent=str(conf.result_backend).startswith("rpc"),
        )
        self._known = made
        return made

    def _address(
        self, defaults: _Defaults, name: str, args: Any, kwargs: Any, said: dict[str, Any]
    ) -> Address:
        """Take the address out of the options; the call's own win over the route's."""
        if defaults.router:
            route = defaults.router.lookup(
                said.get("route_name") or name, args, kwargs, said, said.get("task_type")
            )
            if "rate_limit" in route:
                warnings.warn(
                    "task_routes: rate_limit has no effect in a route; use task_annotations",
                    stacklevel=5,
                )
                route.pop("rate_limit")
            for key, value in route.items():
                if said.get(key) is None:
                    said[key] = value
        return defaults.queues.address(said)

    def _call(
        self,
        defaults: _Defaults,
        name: str,
        args: Any,
        kwargs: Any,
        said: dict[str, Any],
        sending_task: Any,
        address: Address,
    ) -> TaskCall:
        fields: dict[str, Any] = {
            FIELDS[option]: value for option, value in said.items() if option in FIELDS
        }
        task_id = fields.setdefault("task_id", "") or new_id()
        fields["task_id"] = task_id
        fields.setdefault("serializer", defaults.serializer)
        if defaults.compression:
            fields.setdefault("compression", defaults.compression)
        if sending_task is not None:
            inherit(fields, sending_task.request, is_priority_too=defaults.is_priority_inherited)
        fields.setdefault("root_id", task_id)
        fields.setdefault("priority", defaults.priority)
        if "reply_to" not in fields:
            fields["reply_to"] = self._app.oid
        if not INSTANTS.isdisjoint(said):
            zone = self._app.timezone
            now = datetime.fromtimestamp(self._app.wall_clock.now(), zone)
            fields.update(instants(said, now, zone))
        if not EMBEDDED.isdisjoint(said):
            fields["embed"] = embed(said)
        if "stamped_headers" in fields:
            fields.update(stamps(said))
        return TaskCall(
            task_name=name,
            args=arguments(args),
            kwargs=keywords(kwargs),
            origin=self.origin(),
            delivery_mode=address.delivery_mode,
            repr_levels=defaults.repr_levels,
            **fields,
        )

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
            retry_policy=policy.get("retry_policy"),
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

    def _after(self, sending: Sending, sent_at: float) -> None:
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
            self._tell_sent(message, address, sent_at)

    def _tell_sent(self, message: Message, address: Address, sent_at: float) -> None:
        try:
            fields = _sent_fields(message, address)
            self._app.send_event("task-sent", timestamp=sent_at, **fields)
        except OperationalError as error:
            # The call is out: an error now would make its caller send it again.
            logger.warning("task-sent of %s was not told: %s", message.headers["id"], error)


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
