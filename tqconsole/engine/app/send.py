"""From a call to the broker: options to a message, its address, and its publication.

The phase between `apply_async` and `Broker.publish`. What the settings say is worked out once per
change of theirs, what a call's options say once for all calls that say the same (`patterns`); any
other call goes the whole way. Nothing here decides what a task is or when it runs.
"""

from __future__ import annotations

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
from tqconsole.engine.app.patterns import (
    Pattern,
    Patterns,
    is_fixed,
    key_of,
    own_headers,
    varying,
)
from tqconsole.engine.app.publish import Publisher, PublishingApp, has_to_be_declared
from tqconsole.engine.app.queues import Address, QueueTable
from tqconsole.engine.app.telling import Sending, Teller, TellingApp
from tqconsole.engine.backends.base import Backend
from tqconsole.engine.fork_locks import own_pid
from tqconsole.engine.protocol.identity import new_id
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.stencil import Stencil, can_repeat
from tqconsole.engine.protocol.task import NO_EMBED, Embed, TaskCall, encode_task
from tqconsole.engine.protocol.transfer import ChordEnd, Publication
from tqconsole.engine.result import AsyncResult
from tqconsole.engine.routing import Router
from tqconsole.engine.signals import before_task_publish


class SendingApp(PublishingApp, TellingApp, Protocol):
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


class _Call(msgspec.Struct, frozen=True, gc=False):
    """A call as it was made."""

    name: str
    args: Any
    kwargs: Any
    #: Its options but those that are None.
    said: dict[str, Any]
    #: The task whose run makes it.
    sender: Any


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
    #: None: it takes more than names and options to tell what two calls have in common.
    patterns: Patterns | None


class Sender:
    """Builds and publishes the calls of one app. Thread-safe."""

    def __init__(self, app: SendingApp) -> None:
        self._app = app
        self._known: _Defaults | None = None
        self._publisher = Publisher(app)
        self._teller = Teller(app)
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
        sender = current.get_current_worker_task()
        call = _Call(name, arguments(args), keywords(kwargs), said, sender)
        # What a receiver sees, and may change, is of this call alone.
        patterns = None if before_task_publish.receivers else defaults.patterns
        key = None if patterns is None else key_of(name, said)
        if patterns is None or key is None:
            return self._composed(defaults, call)[0]
        pattern = patterns.find(key)
        sending = None if pattern is None else self._repeated(pattern, call)
        if sending is None:
            version, is_kept, own = defaults.queues.version, is_fixed(said), varying(said)
            sending, made = self._composed(defaults, call)
            # A route may have added something that this short way takes from the call only.
            if is_kept and can_repeat(made) and varying(said) == own:
                patterns.keep(key, _pattern(sending, made, said, version))
        return sending

    def send(self, sendings: Sequence[Sending]) -> None:
        """Publish in one trip.

        Raises: OperationalError when the broker could not be reached; nothing was sent then.
        """
        if not sendings:
            return
        defaults, policy = self._defaults(), sendings[0].policy
        if defaults.are_results_sent:
            self._publisher.persist(lambda: self._expect_results(sendings), policy)
        # Before the publish: a worker may have the task before this thread goes on.
        sent_at = self._app.wall_clock.now() if defaults.is_event_sent else None
        self._publisher.publish([sending.publication for sending in sendings], policy)
        self._teller.tell(sendings, sent_at)

    def _expect_results(self, sendings: Sequence[Sending]) -> None:
        own = self._app.oid
        for sending in sendings:
            message = sending.publication.message
            if message.properties.get("reply_to") == own and not message.headers.get(
                "ignore_result"
            ):
                self._app.backend.expect(own)
                return

    def publish(self, publications: Sequence[Publication], policy: dict[str, Any]) -> None:
        """Publish messages in one trip, by the publish policy. Raises: OperationalError."""
        self._publisher.publish(publications, policy)

    def publish_end(self, publications: Sequence[Publication], end: ChordEnd) -> bool:
        """Publish what a chord ends in and close it, in one step; False where that is not one."""
        broker = self._app.write_broker
        if not broker.capabilities.can_end_chords or not self._app.backend.rides_on(broker.place):
            return False
        self._publisher.publish_end(publications, end)
        return True

    def origin(self) -> str:
        """Return this process's name as a sender."""
        pid = own_pid()
        if self._origin[0] != pid:
            self._origin = (pid, f"gen{pid}@{socket.gethostname()}")
        return self._origin[1]

    def _defaults(self) -> _Defaults:
        conf = self._app.conf
        known = self._known
        if known is not None and known.version == conf.version:
            return known
        router, queues = Router(conf.task_routes), QueueTable(conf)
        can_repeat_calls = router.is_by_name and not conf.task_inherit_parent_priority
        made = _Defaults(
            # After the first look: it may read the configuration source, which is a change.
            version=conf.version,
            router=router,
            queues=queues,
            serializer=conf.task_serializer,
            compression=conf.task_compression,
            priority=conf.task_default_priority,
            is_priority_inherited=conf.task_inherit_parent_priority,
            repr_levels=conf.task_repr_maxlevels,
            is_event_sent=conf.task_send_sent_event,
            are_results_sent=str(conf.result_backend).startswith("rpc"),
            patterns=Patterns(queues) if can_repeat_calls else None,
        )
        self._known = made
        return made

    def _repeated(self, pattern: Pattern, call: _Call) -> Sending | None:
        """Return a call that is like an earlier one; None when it is not, seen from near."""
        said, sender = call.said, call.sender
        own = own_headers(said, None if sender is None else sender.request)
        reply_to = said.get("reply_to")
        if reply_to is None:
            reply_to = self._app.oid
        if own is None or type(reply_to) is not str:
            return None
        own["origin"] = self.origin()
        address, policy, stencil = pattern.address, pattern.policy, pattern.stencil
        message = stencil.message(own, call.args, call.kwargs, reply_to)
        publication = Publication(message, address.routing_key, address.exchange, stencil.is_plain)
        if pattern.is_declared_first:
            self._publisher.declare(address, policy)
        result = self._result(call, own["id"], is_ignored=pattern.is_result_ignored)
        parent = sender if pattern.is_noted else None
        return Sending(
            publication, call.args, call.kwargs, NO_EMBED, address, result, parent, policy
        )

    def _composed(self, defaults: _Defaults, call: _Call) -> tuple[Sending, TaskCall]:
        """Return a call that need not be like any other, and all that its message says."""
        said = call.said
        policy = how_to_send(said)
        address = self._address(defaults, call)
        made = self._call(defaults, call, address)
        properties = {option: said[option] for option in said.keys() - KNOWN - made.stamps.keys()}
        message = self._message(made, address, properties, policy)
        publication = Publication(message, address.routing_key, address.exchange)
        self._publisher.declare(address, policy)
        result = self._result(call, made.task_id, is_ignored=bool(made.ignore_result))
        parent = call.sender if said.get("add_to_parent", True) else None
        sending = Sending(
            publication, call.args, call.kwargs, made.embed, address, result, parent, policy
        )
        return sending, made

    def _result(self, call: _Call, task_id: str, *, is_ignored: bool) -> AsyncResult:
        task = call.said.get("task_type")
        store = task.backend if task is not None and task.has_own_store else None
        result = self._app.AsyncResult(task_id, task_name=call.name, backend=store)
        result.ignored = is_ignored
        return result

    def _address(self, defaults: _Defaults, call: _Call) -> Address:
        """Take the address out of the options; the call's own win over the route's."""
        said = call.said
        if defaults.router:
            name = said.get("route_name") or call.name
            route = defaults.router.lookup(
                name, call.args, call.kwargs, said, said.get("task_type")
            )
            if "rate_limit" in route:
                warnings.warn(
                    "task_routes: rate_limit has no effect in a route; use task_annotations",
                    stacklevel=6,
                )
                route.pop("rate_limit")
            for key, value in route.items():
                if said.get(key) is None:
                    said[key] = value
        return defaults.queues.address(said)

    def _call(self, defaults: _Defaults, call: _Call, address: Address) -> TaskCall:
        said = call.said
        fields: dict[str, Any] = {
            FIELDS[option]: value for option, value in said.items() if option in FIELDS
        }
        task_id = fields.setdefault("task_id", "") or new_id()
        fields["task_id"] = task_id
        fields.setdefault("serializer", defaults.serializer)
        if defaults.compression:
            fields.setdefault("compression", defaults.compression)
        if call.sender is not None:
            inherit(fields, call.sender.request, is_priority_too=defaults.is_priority_inherited)
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
            task_name=call.name,
            args=call.args,
            kwargs=call.kwargs,
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


def _pattern(sending: Sending, call: TaskCall, said: dict[str, Any], version: int) -> Pattern:
    return Pattern(
        Stencil(call, sending.publication.message),
        sending.address,
        sending.policy,
        bool(call.ignore_result),
        bool(said.get("add_to_parent", True)),
        has_to_be_declared(sending.address),
        version,
    )
