"""What comes back of a chord's parts: keys and packed values as Celery's (wire.md §4.2, §4.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from tqconsole.engine import states
from tqconsole.engine.exceptions import BackendError, RefusedError
from tqconsole.engine.protocol.failure import decode_exception, encode_exception, picklable
from tqconsole.engine.protocol.limits import DEFAULT_LIMITS, Limits
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.payload import decoded_payload
from tqconsole.engine.serialization import encode

#: In front of every key of a group.
GROUP_PREFIX = "celery-taskset-meta-"
#: Header of a message that may have been published more than once: [key, its own mark]. Who starts
#: it first, by `Joiner.may_begin`, is the one.
ONCE_HEADER = "tq_once"


class ChordPart(msgspec.Struct, frozen=True):
    """One part that came back. `packed` is what the body's sender reads, `score` its place."""

    group_id: str
    task_id: str
    score: str
    packed: bytes


def group_key(group_id: str, suffix: str = "") -> str:
    """Return the key of a group's record, or of what belongs to its chord."""
    return f"{GROUP_PREFIX}{group_id}{suffix}"


def encode_part(task_id: str, state: str, value: Any, serializer: str = "json") -> bytes:
    """Return a part as the store keeps it. Raises: EncodeError."""
    if isinstance(value, BaseException):
        is_pickle = serializer in ("pickle", "application/x-python-serialize")
        value = picklable(value) if is_pickle else encode_exception(value, serializer)
    return encode([1, task_id, state, value], serializer)[2]


def decode_part(
    packed: bytes, content_type: str, accept: frozenset[str], limits: Limits = DEFAULT_LIMITS
) -> tuple[str, str, Any]:
    """Return (task id, state, value or exception). Raises: BackendError."""
    try:
        fields = decoded_payload(Message(packed, content_type), accept, limits)
    except RefusedError as error:
        raise BackendError(f"A chord's part cannot be read: {error}") from error
    if not isinstance(fields, list | tuple) or len(fields) != 4:
        raise BackendError("A chord's part cannot be read: not [1, id, state, value]")
    _, task_id, state, value = fields
    if state in states.EXCEPTION_STATES and value is not None:
        value = decode_exception(value)
    return str(task_id), str(state), value


def shaped(tree: Any, values: dict[str, Any]) -> list[Any]:
    """Return the values of a header that has groups inside, in the header's shape.

    `tree` is its result tuple, `values` task id -> value. Raises: BackendError when a value is not
    there.
    """
    return [_shaped_member(member, values) for member in _members_of(tree)]


def _shaped_member(entry: Any, values: dict[str, Any]) -> Any:
    head, members = entry
    if members is not None:
        return shaped(entry, values)
    task_id = head[0] if isinstance(head, list | tuple) else head
    if task_id not in values:
        raise BackendError(f"The chord's part {task_id} did not come back")
    return values[task_id]


def _members_of(tree: Any) -> Sequence[Any]:
    members: Sequence[Any] = tree[1]
    return members
