"""Tasks' headers, read by their form instead of value by value.

The headers of tasks are the same bytes again and again, but for a few texts and counts: ids, what
the arguments look like, retries. One header is read in full and remembered as a form: the bytes
between those values, which must stand in the next header for it to be read by that form. That
takes a tenth of the time, and says the same: bytes that are equal mean what they meant before.
Whatever fits no form is read in full, and only Celery's own headers make one.
"""

from __future__ import annotations

import struct
from typing import Any

from tqconsole.engine.amqp_server.content import PROPERTIES_AT, message_of
from tqconsole.engine.amqp_server.inbound import Delivered
from tqconsole.engine.amqp_server.tables import (
    read_properties,
    write_properties,
    written_key,
    written_value,
)
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.sealed import (
    Maps,
    SealedMessage,
    WireHeaders,
    WireProperties,
    usual_headers,
)

#: A form's header has fewer bytes; forms of one task; tasks whose forms are known.
_MOST_BYTES, _MOST_FORMS, _MOST_TASKS = 4096, 4, 256
#: Where a task has all its forms already, one of so many other headers makes a new one: learning
#: costs more than reading.
_RELEARN_EVERY = 32
#: Between these stands a task's name.
_TASK, _ID = b"\x04taskS", b"\x02idS"
#: What differs between two headers of one task, as far as it is text or a count.
_TEXTS = frozenset(
    {
        "id", "shadow", "eta", "expires", "group", "root_id", "parent_id", "argsrepr",
        "kwargsrepr", "origin",
    }
)  # fmt: skip
_COUNTS = frozenset({"group_index", "retries", "replaced_task_nesting"})
_MOST_COUNT = 2**31
#: Properties behind the headers that a message with a form may have, in the order of the wire, and
#: which of them are text; the others are one byte.
_BEHIND = {"delivery_mode": False, "priority": False, "correlation_id": True, "reply_to": True}
#: The two bytes of flags that begin properties.
_FLAGS_BYTES = 2
_PLACES = {name: place for place, name in enumerate(WireHeaders.__struct_fields__)}
_long_from = struct.Struct(">I").unpack_from


class Forms:
    """The forms that one consumer has met."""

    def __init__(self) -> None:
        self._forms: dict[bytes, list[_Form]] = {}
        self._miss_count = 0

    def read(self, delivered: Delivered) -> Message:
        """Return what was delivered. Raises: RefusedError when its header cannot be read."""
        header = delivered.header
        task_at = header.find(_TASK)
        task = header[task_at : header.find(_ID, task_at)]
        for form in self._forms.get(task, ()):
            sealed = form.read(header, delivered.body)
            if sealed is not None:
                return sealed
        message = message_of(delivered)
        if task_at >= 0 and len(header) < _MOST_BYTES:
            self._learn(task, header, message)
        return message

    def _learn(self, task: bytes, header: bytes, message: Message) -> None:
        known = self._forms.get(task, [])
        self._miss_count += 1
        if len(known) == _MOST_FORMS and self._miss_count % _RELEARN_EVERY:
            return
        form = _form_of(message)
        # Somebody may write the same in other bytes.
        if form is None or form.read(header, message.body) != message:
            return
        if not known and len(self._forms) >= _MOST_TASKS:
            self._forms.clear()
        self._forms[task] = [form, *known[: _MOST_FORMS - 1]]


class _Form:
    """The bytes between the values of a header, and the values that are the same in each."""

    __slots__ = (
        "_content",
        "_fields",
        "_head",
        "_last",
        "_names",
        "_properties",
        "_steps",
    )

    def __init__(self, message: Message, typed: WireHeaders) -> None:
        """`typed` is what the headers of this message say."""
        given = message.properties
        content = {
            "content_type": message.content_type,
            "content_encoding": message.content_encoding,
        }
        flags = write_properties({**content, **given, "application_headers": {}})[:_FLAGS_BYTES]
        self._head = flags + write_properties(content)[_FLAGS_BYTES:]
        #: What stands before a value, its length, the value's place, and whether it is a count.
        self._steps: list[tuple[bytes, int, int, bool]] = []
        between = b""
        for name, value in message.headers.items():
            between += written_key(name)
            is_count = name in _COUNTS and type(value) is int
            if is_count or (name in _TEXTS and type(value) is str):
                between += b"I" if is_count else b"S"
                self._steps.append((between, len(between), _PLACES[name], is_count))
                between = b""
            else:
                between += written_value(value)
        self._last = between
        self._fields = [getattr(typed, name) for name in _PLACES]
        self._content = (message.content_type, message.content_encoding)
        self._names = [it for it in _BEHIND.items() if it[0] in given]
        self._properties = dict(given)

    def read(self, header: bytes, body: bytes) -> SealedMessage | None:
        """Return the message of a header; None when it has another form."""
        try:
            fields, at = self._read_table(header)
            properties = self._read_properties(header, at) if fields else None
        except (struct.error, IndexError, UnicodeDecodeError):
            # What is wrong with it is for the reader of everything to say.
            return None
        if fields is None or properties is None:
            return None
        return SealedMessage(
            body,
            self._content[0],
            self._content[1],
            None,  # type: ignore[arg-type]  # not unpacked
            properties,
            header,
            WireHeaders(*fields),
            WireProperties(
                properties.get("reply_to"),
                properties.get("correlation_id"),
                properties.get("priority"),
            ),
            _unpack,
        )

    def _read_table(self, header: bytes) -> tuple[list[Any] | None, int]:
        """Return the fields of `WireHeaders`, and where the table ends."""
        at = PROPERTIES_AT + len(self._head)
        if header[PROPERTIES_AT:at] != self._head:
            return None, 0
        table_end = at + 4 + _long_from(header, at)[0]
        at += 4
        fields = self._fields.copy()
        for between, length, place, is_count in self._steps:
            number_at = at + length
            if header[at:number_at] != between:
                return None, 0
            at = number_at + 4
            number = _long_from(header, number_at)[0]
            if not is_count:
                end = at + number
                fields[place] = header[at:end].decode()
                at = end
            elif number < _MOST_COUNT:
                fields[place] = number
            else:
                return None, 0
        is_whole = at + len(self._last) == table_end and header.startswith(self._last, at)
        return (fields if is_whole else None), table_end

    def _read_properties(self, header: bytes, at: int) -> dict[str, Any] | None:
        properties = self._properties.copy()
        for name, is_text in self._names:
            value_at, at = at, at + 1
            if is_text:
                at += header[value_at]
                properties[name] = header[value_at + 1 : at].decode()
            else:
                properties[name] = header[value_at]
        return properties if at == len(header) else None


def _form_of(message: Message) -> _Form | None:
    """Return the form of a task's message; None when it is not one of the usual ones."""
    typed = usual_headers(message.headers)
    # A list would be one for all.
    if typed is None or typed.stamped_headers is not None:
        return None
    if not (message.content_type and message.content_encoding):
        return None
    return _Form(message, typed) if message.properties.keys() <= _BEHIND.keys() else None


def _unpack(header: bytes) -> Maps:
    properties = read_properties(header, PROPERTIES_AT)
    headers = properties.pop("application_headers")
    del properties["content_type"], properties["content_encoding"]
    return headers, properties
