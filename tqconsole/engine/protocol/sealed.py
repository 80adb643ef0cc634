"""A message whose envelope was read once, by its types, and is not unpacked any further.

Nearly every task has Celery's own headers and nothing else. Reading those straight into a typed
value costs a quarter of building maps and looking into them; and the bytes of kombu's envelope are
what goes on to a child. Whoever asks for `headers` or `properties` gets the maps as from any other
message: they are built then.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import msgspec

from tqconsole.engine.protocol.message import Message

#: A count fits every store's integer column.
Count = Annotated[int, msgspec.Meta(ge=0, lt=2**31)]
#: Whole seconds stay integers, so that they go out again as they came.
Duration = Count | Annotated[float, msgspec.Meta(ge=0, lt=2**31)]
#: Properties that belong to the transport and not to the message.
TRANSPORT_PROPERTIES = ("delivery_info", "delivery_tag", "body_encoding")


class WireHeaders(msgspec.Struct, gc=False):
    """The header table of a task as it must be (wire.md §1.2); unknown names are the user's."""

    task: str
    id: str
    lang: Any = None
    shadow: str | None = None
    eta: Any = None
    expires: Any = None
    group: str | None = None
    group_index: Count | None = None
    retries: Count | None = None
    timelimit: tuple[Duration | None, Duration | None] | None = None
    root_id: str | None = None
    parent_id: str | None = None
    argsrepr: str | None = None
    kwargsrepr: str | None = None
    origin: str | None = None
    ignore_result: bool | None = None
    replaced_task_nesting: Count | None = None
    stamped_headers: list[str] | None = None
    stamps: dict[str, Any] | None = None
    compression: Any = None


class WireProperties(msgspec.Struct, gc=False):
    """The properties that a worker uses."""

    reply_to: str | None = None
    correlation_id: str | None = None
    priority: Count | None = None


class _UsualHeaders(WireHeaders, forbid_unknown_fields=True):
    """Celery's own headers only, and nothing in them that may nest or stand for another value."""

    lang: str | None = None
    eta: str | None = None
    expires: str | None = None
    stamps: Annotated[dict[str, Any], msgspec.Meta(max_length=0)] | None = None
    compression: str | None = None


class _Address(msgspec.Struct, gc=False):
    exchange: str
    routing_key: str


class _UsualProperties(WireProperties, forbid_unknown_fields=True, kw_only=True):
    """Celery's own properties, all of them; only `expiration` may be missing."""

    reply_to: str | None
    correlation_id: str | None
    priority: Count | None
    delivery_mode: int
    expiration: str | msgspec.UnsetType | None = msgspec.UNSET
    delivery_info: _Address
    delivery_tag: str
    body_encoding: str


class _Usual(
    msgspec.Struct,
    rename={"content_type": "content-type", "content_encoding": "content-encoding"},
    gc=False,
):
    """An envelope as every client writes it; msgspec reads the bytes of a body as base64."""

    body: bytes
    headers: _UsualHeaders
    properties: _UsualProperties
    content_type: str
    content_encoding: str


class _Maps(msgspec.Struct):
    headers: dict[str, Any]
    properties: dict[str, Any]


_read_usual = msgspec.json.Decoder(_Usual).decode
_read_maps = msgspec.json.Decoder(_Maps).decode
#: A header table and basic properties, without the transport's own.
Maps = tuple[dict[str, Any], dict[str, Any]]


def _unpack(envelope: bytes) -> Maps:
    maps = _read_maps(envelope)
    for name in TRANSPORT_PROPERTIES:
        del maps.properties[name]
    return maps.headers, maps.properties


class SealedMessage(Message, frozen=True):
    """A task with Celery's own headers only. `envelope` is what came, `unpack` makes maps of it."""

    envelope: bytes = b""
    wire_headers: WireHeaders = None  # type: ignore[assignment]  # always given; fields after defaults
    wire_properties: WireProperties = None  # type: ignore[assignment]  # as above
    unpack: Callable[[bytes], Maps] = _unpack

    @property  # type: ignore[misc]  # built when it is asked for
    def headers(self) -> dict[str, Any]:
        """The header table."""
        return self._maps()[0]

    @property  # type: ignore[misc]  # as above
    def properties(self) -> dict[str, Any]:
        """The basic properties without the transport's own."""
        given: dict[str, Any] | None = _properties_slot.__get__(self)
        return self._maps()[1] if given is None else given

    @property
    def address(self) -> tuple[str, str, str]:
        """The exchange, the routing key and the tag that stand in kombu's envelope."""
        found: _UsualProperties = self.wire_properties  # type: ignore[assignment]  # nobody else asks
        return found.delivery_info.exchange, found.delivery_info.routing_key, found.delivery_tag

    @property
    def can_reopen(self) -> bool:
        """Whether `open_usual` makes it anew of its envelope."""
        return self.unpack is _unpack

    def _maps(self) -> Maps:
        headers, properties = _headers_slot.__get__(self), _properties_slot.__get__(self)
        if headers is None:
            headers, properties = self.unpack(self.envelope)
            _headers_slot.__set__(self, headers)
            _properties_slot.__set__(self, properties)
        return headers, properties

    def sent_properties(self) -> dict[str, Any]:
        """Return the properties, without unpacking the envelope. They are the caller's."""
        found = self.wire_properties
        if not isinstance(found, _UsualProperties):
            given: dict[str, Any] = _properties_slot.__get__(self)
            return dict(given)
        properties: dict[str, Any] = {
            "correlation_id": found.correlation_id,
            "reply_to": found.reply_to,
            "delivery_mode": found.delivery_mode,
            "priority": found.priority,
        }
        if found.expiration is not msgspec.UNSET:
            properties["expiration"] = found.expiration
        return properties

    def __eq__(self, other: object) -> bool:
        """A message is what it says, however it came."""
        if not isinstance(other, Message):
            return NotImplemented
        return _fields(self) == _fields(other)

    def __ne__(self, other: object) -> bool:
        """The base class has its own, which compares what is not unpacked."""
        return not self == other

    __hash__ = None  # type: ignore[assignment]  # maps have none


def _fields(message: Message) -> tuple[Any, ...]:
    return (
        message.body,
        message.content_type,
        message.content_encoding,
        message.headers,
        message.properties,
    )


#: Where the base class keeps its maps: here they stay empty until somebody asks.
_headers_slot: Any = Message.headers
_properties_slot: Any = Message.properties


def usual_headers(headers: dict[str, Any]) -> WireHeaders | None:
    """Return what a header table says when nothing is in it but what a usual one has."""
    try:
        return msgspec.convert(headers, _UsualHeaders)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


def open_usual(envelope: bytes) -> SealedMessage | None:
    """Return the task in an envelope that stands as clients write it; None for any other."""
    try:
        found = _read_usual(envelope)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    if found.properties.body_encoding != "base64":
        return None
    return SealedMessage(
        found.body,
        found.content_type or "application/data",
        found.content_encoding or "utf-8",
        None,  # type: ignore[arg-type]  # not unpacked
        None,  # type: ignore[arg-type]
        envelope,
        found.headers,
        found.properties,
    )
