"""The messages of calls that say the same, made from one of them (wire.md §1).

What does not depend on a call's ids, its arguments and its sender is encoded and checked once. The
messages are those of `task.encode_task`, byte for byte.
"""

from __future__ import annotations

from typing import Any

from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.saferepr import saferepr
from tqconsole.engine.protocol.task import NO_EMBED, TaskCall
from tqconsole.engine.serialization import JSON_TYPE, encode_json, encode_plain

#: What follows the run when nothing does.
_NO_EMBED: dict[str, None] = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
_BODY = b"[%b,%b," + encode_json(_NO_EMBED) + b"]"


#: Headers in which calls differ that say the same.
_OWN = ("id", "shadow", "group", "group_index", "root_id", "parent_id", "origin")


class Stencil:
    """Makes messages like the one it was made of."""

    __slots__ = ("_chars", "_headers", "_levels", "_limits", "_properties", "is_plain")

    def __init__(self, call: TaskCall, message: Message) -> None:
        """`message` is what `encode_task` made of `call`, which `can_repeat`."""
        self._headers = message.headers | dict.fromkeys(_OWN)
        self._properties = message.properties.copy()
        self._chars, self._levels = call.repr_chars, call.repr_levels
        self._limits = call.hard_limit_s, call.soft_limit_s
        #: As in `Publication`.
        self.is_plain = encode_plain([message.headers, message.properties]) is not None

    def message(self, own: dict[str, Any], args: Any, kwargs: Any, reply_to: str) -> Message:
        """Return the message of a call. `own` are the headers that are not every call's: `id`,
        `root_id` and `origin`, maybe others of `_OWN`, checked. Raises: EncodeError.
        """
        headers = self._headers | own
        # What may be changed in place is each message's own.
        headers["timelimit"] = list(self._limits)
        headers["stamps"] = {}
        headers["argsrepr"] = saferepr(args, self._chars, self._levels)
        headers["kwargsrepr"] = saferepr(kwargs, self._chars, self._levels)
        properties = self._properties.copy()
        properties["correlation_id"], properties["reply_to"] = own["id"], reply_to
        return Message(_body(args, kwargs), JSON_TYPE, "utf-8", headers, properties)


def can_repeat(call: TaskCall) -> bool:
    """Return True when ids and arguments are all that other calls like this one differ in."""
    return (
        call.serializer in ("json", JSON_TYPE)
        and not (call.compression or call.stamped_headers or call.headers or call.eta)
        and call.expires is None
        and call.argsrepr is None
        and call.kwargsrepr is None
        and call.embed is NO_EMBED
    )


def _body(args: Any, kwargs: Any) -> bytes:
    packed = encode_plain(args)
    packed_kwargs = b"{}" if type(kwargs) is dict and not kwargs else encode_plain(kwargs)
    if packed is None or packed_kwargs is None:
        return encode_json([args, kwargs, _NO_EMBED])
    return _BODY % (packed, packed_kwargs)
