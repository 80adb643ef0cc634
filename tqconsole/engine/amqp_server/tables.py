"""A message's properties and header table from AMQP's bytes, and to them.

py-amqp's own take a quarter of the time that a worker has for a task that does nothing, and half of
a client's for a call. These know what nearly all headers are made of, and leave the rest to those;
what they write is the same to the byte.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from io import BytesIO
from struct import Struct
from typing import Any

from amqp.serialization import _read_item, _write_item

_LONG, _INT, _BIG, _NUMBER, _FLAGS = map(Struct, (">I", ">i", ">q", ">Q", ">H"))
_TYPED_LONG, _TYPED_INT, _TYPED_BIG, _TYPED_DOUBLE = map(Struct, (">cI", ">ci", ">cq", ">cd"))
#: What py-amqp writes in four bytes, either sign; it leaves out the lowest.
_MOST_INT = 2**31 - 1
#: Bytes of a short text, and of a key, at most.
_MOST_SHORT = 255
#: The keys that every task's message has (wire.md §1.2), as they are written.
_USUAL_KEYS = {
    key: bytes((len(key),)) + key.encode()
    for key in (
        "lang", "task", "id", "shadow", "eta", "expires", "group", "group_index", "retries",
        "timelimit", "root_id", "parent_id", "argsrepr", "kwargsrepr", "origin", "ignore_result",
        "replaced_task_nesting", "stamped_headers", "stamps",
    )
}  # fmt: skip
#: The same, from the bytes of a key.
_KNOWN_KEYS = {key.encode(): key for key in _USUAL_KEYS}
#: Texts that nearly all messages have.
_KNOWN_TEXTS = {it.encode(): it for it in ("application/json", "utf-8")}
#: Types of values: text, nothing, whole numbers of 4 and of 8 bytes, yes or no, table, array.
_TEXT, _VOID, _INT32, _INT64, _INT64_TOO, _BOOL, _TABLE, _ARRAY = b"SVIlLtFA"
#: Basic properties in their order on the wire: a short text, a byte, a number, or the headers.
_PROPERTIES = (
    (0x8000, "content_type", "s"), (0x4000, "content_encoding", "s"),
    (0x2000, "application_headers", "t"), (0x1000, "delivery_mode", "b"),
    (0x0800, "priority", "b"), (0x0400, "correlation_id", "s"), (0x0200, "reply_to", "s"),
    (0x0100, "expiration", "s"), (0x0080, "message_id", "s"), (0x0040, "timestamp", "n"),
    (0x0020, "type", "s"), (0x0010, "user_id", "s"), (0x0008, "app_id", "s"),
    (0x0004, "cluster_id", "s"),
)  # fmt: skip


def read_properties(data: bytes, at: int) -> dict[str, Any]:
    """Return the properties that begin at `at`. Raises: whatever ruined bytes lead to."""
    flags = _FLAGS.unpack_from(data, at)[0]
    at += 2
    found: dict[str, Any] = {}
    for bit, name, kind in _PROPERTIES:
        if not flags & bit:
            continue
        if kind == "s":
            end = at + 1 + data[at]
            text = data[at + 1 : end]
            found[name] = _KNOWN_TEXTS.get(text) or text.decode()
            at = end
        elif kind == "b":
            found[name] = data[at]
            at += 1
        elif kind == "t":
            found[name], at = _read_table(data, at)
        else:
            found[name] = _NUMBER.unpack_from(data, at)[0]
            at += 8
    if at > len(data):
        raise ValueError("the properties are longer than their frame")
    return found


def write_properties(properties: Mapping[str, Any]) -> bytes:
    """Return properties as they leave; None is left out. Raises: ValueError, TypeError,
    struct.error, AMQPError for what AMQP cannot carry.
    """
    flags = 0
    parts: list[bytes] = [b""]
    for bit, name, kind in _PROPERTIES:
        value = properties.get(name)
        if value is None:
            continue
        flags |= bit
        if kind == "s":
            parts.append(_short(value))
        elif kind == "b":
            parts.append(bytes((value,)))
        elif kind == "t":
            parts.append(_written_table(value))
        else:
            parts.append(_NUMBER.pack(value))
    parts[0] = _FLAGS.pack(flags)
    return b"".join(parts)


def written_key(key: Any) -> bytes:
    """Return a name in a table as it leaves. Raises: as `write_properties`."""
    return _USUAL_KEYS.get(key) or _short(key)


def written_value(value: Any) -> bytes:
    """Return a value in a table as it leaves. Raises: as `write_properties`."""
    parts: list[bytes] = []
    _write_value(value, parts)
    return b"".join(parts)


def _short(value: Any) -> bytes:
    data = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
    if not isinstance(data, bytes):
        raise TypeError(f"{value!r:.40} is no text")
    if len(data) > _MOST_SHORT:
        raise ValueError(f"{value[:40]!r}... is longer than {_MOST_SHORT} bytes")
    return bytes((len(data),)) + data


def _written_table(table: Mapping[Any, Any]) -> bytes:
    parts: list[bytes] = [b""]
    for key, value in table.items():
        parts.append(_USUAL_KEYS.get(key) or _short(key))
        _write_value(value, parts)
    return _with_size(parts)


def _written_array(values: Iterable[Any]) -> bytes:
    parts: list[bytes] = [b""]
    for value in values:
        _write_value(value, parts)
    return _with_size(parts)


def _with_size(parts: list[bytes]) -> bytes:
    parts[0] = _LONG.pack(sum(map(len, parts)))
    return b"".join(parts)


def _write_value(value: Any, parts: list[bytes]) -> None:
    kind = type(value)
    if kind is str:
        data = value.encode("utf-8", "surrogatepass")
        parts += (_TYPED_LONG.pack(b"S", len(data)), data)
    elif value is None:
        parts.append(b"V")
    elif kind is bool:
        parts.append(b"t\x01" if value else b"t\x00")
    elif kind is int:
        is_short = -_MOST_INT <= value <= _MOST_INT
        parts.append(_TYPED_INT.pack(b"I", value) if is_short else _TYPED_BIG.pack(b"L", value))
    else:
        _write_rare(value, parts)


def _write_rare(value: Any, parts: list[bytes]) -> None:
    if isinstance(value, dict):
        parts += (b"F", _written_table(value))
    elif isinstance(value, list | tuple):
        parts += (b"A", _written_array(value))
    elif type(value) is float:
        parts.append(_TYPED_DOUBLE.pack(b"d", value))
    else:
        written = BytesIO()
        try:
            _write_item(value, written.write, [])
        except ValueError as error:
            raise ValueError(f"{value!r:.100} is no value for a header") from error
        parts.append(written.getvalue())


def _read_table(data: bytes, at: int) -> tuple[dict[str, Any], int]:
    # Each step is written out: a task's message has twenty values, and a call for each would take
    # longer than all that is done to them.
    long_from = _LONG.unpack_from
    end = at + 4 + long_from(data, at)[0]
    at += 4
    found: dict[str, Any] = {}
    while at < end:
        key_end = at + 1 + data[at]
        key = data[at + 1 : key_end]
        name = _KNOWN_KEYS.get(key) or key.decode()
        kind = data[key_end]
        at = key_end + 1
        if kind == _VOID:
            found[name] = None
        elif kind == _TEXT:
            text_at = at + 4
            at = text_at + long_from(data, at)[0]
            found[name] = _text(data[text_at:at])
        elif kind == _BOOL:
            found[name] = data[at] != 0
            at += 1
        else:
            found[name], at = _read_value(data, key_end)
    if at != end:
        raise ValueError("a table's values are longer than itself")
    return found, at


def _read_array(data: bytes, at: int) -> tuple[list[Any], int]:
    end = at + 4 + _LONG.unpack_from(data, at)[0]
    at += 4
    found: list[Any] = []
    while at < end:
        value, at = _read_value(data, at)
        found.append(value)
    if at != end:
        raise ValueError("an array's values are longer than itself")
    return found, at


def _read_value(data: bytes, at: int) -> tuple[Any, int]:
    kind = data[at]
    at += 1
    if kind == _TEXT:
        end = at + 4 + _LONG.unpack_from(data, at)[0]
        return _text(data[at + 4 : end]), end
    if kind == _VOID:
        return None, at
    if kind == _INT32:
        return _INT.unpack_from(data, at)[0], at + 4
    if kind == _BOOL:
        return data[at] != 0, at + 1
    return _read_rare(data, at, kind)


def _read_rare(data: bytes, at: int, kind: int) -> tuple[Any, int]:
    if kind == _TABLE:
        return _read_table(data, at)
    if kind == _ARRAY:
        return _read_array(data, at)
    if kind in (_INT64, _INT64_TOO):
        return _BIG.unpack_from(data, at)[0], at + 8
    value: tuple[Any, int] = _read_item(data, at - 1)
    return value


def _text(data: bytes) -> str | bytes:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data
