"""Which calls are like earlier ones: for them the way from options to a message is short.

Most calls of a task say nothing but their arguments, or the same options again and again. What
follows from such options (route, queue, headers, how to send) is worked out by the first of them
and kept while settings and queues stay as they are. A call that says anything of its own but ids
goes the whole way (`Sender.build`), and so does one that a signal's receiver may change.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tqconsole.engine.app.queues import Address, QueueTable
from tqconsole.engine.protocol.identity import new_id
from tqconsole.engine.protocol.stencil import Stencil
from tqconsole.engine.protocol.task import refuse_unfit_name

Key = tuple[Any, ...]

#: Options that stand for themselves and are the same for many calls.
_REPEATED = frozenset(
    {
        "add_to_parent",
        "delivery_mode",
        "exchange",
        "exchange_type",
        "ignore_result",
        "priority",
        "queue",
        "retries",
        "retry",
        "routing_key",
        "serializer",
        "soft_time_limit",
        "task_type",
        "time_limit",
        "timeout",
    }
)
#: Types of their values, beside the task itself: what can be changed in place may not be kept.
_FIXED = frozenset({bool, float, int, str})
#: Options that each call has of its own -> (the header they become, its type).
_OWN = {
    "group_id": ("group", str),
    "group_index": ("group_index", int),
    "parent_id": ("parent_id", str),
    "root_id": ("root_id", str),
    "shadow": ("shadow", str),
    "task_id": ("id", str),
}
_VARYING = frozenset({*_OWN, "reply_to"})
#: Headers that are ids, and what they are called to users.
_NAMES = {"id": "id", "root_id": "root_id", "parent_id": "parent_id", "group": "group_id"}
#: Patterns that are kept: who calls with ever new options must not fill the memory.
_MOST = 256


class Pattern(msgspec.Struct, frozen=True):
    """What follows from the options that some calls share."""

    stencil: Stencil
    address: Address
    policy: dict[str, Any]
    is_result_ignored: bool
    #: The run that sends it notes its result.
    is_noted: bool
    is_declared_first: bool
    #: The queue table's when it was made.
    version: int


class Patterns:
    """Key -> pattern, under settings that do not change. Used by all threads."""

    def __init__(self, queues: QueueTable) -> None:
        self._queues = queues
        self._known: dict[Key, Pattern] = {}

    def find(self, key: Key) -> Pattern | None:
        """Return what an earlier call of this key has left."""
        try:
            found = self._known.get(key)
        except TypeError:
            # A list or the like among the values.
            return None
        return found if found is not None and found.version == self._queues.version else None

    def keep(self, key: Key, pattern: Pattern) -> None:
        """Note what calls of this key have in common."""
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[key] = pattern


def key_of(name: str, said: dict[str, Any]) -> Key | None:
    """Return what calls with the same pattern have in common; None for a call without one.

    The types are part of it: 1, 1.0 and True are the same to a dict and different on the wire.
    """
    if not _VARYING.isdisjoint(said):
        said = {option: value for option, value in said.items() if option not in _VARYING}
    if not _REPEATED.issuperset(said):
        return None
    return (name, *said.items(), *map(type, said.values()))


def varying(said: dict[str, Any]) -> frozenset[str]:
    """Return which of the options are those that each call has its own of."""
    return _VARYING & said.keys()


def is_fixed(said: dict[str, Any]) -> bool:
    """Return True when the values of the options that repeat cannot change."""
    return all(
        type(value) in _FIXED
        for option, value in said.items()
        if option not in _VARYING and option != "task_type"
    )


def own_headers(said: dict[str, Any], run: Any) -> dict[str, Any] | None:
    """Return the headers that a call has of its own, its ids checked; None when they need the
    whole way.

    `run` is the request of the run that sends it, if one does. Raises: EncodeError.
    """
    if run is None and _VARYING.isdisjoint(said):
        task_id = new_id()
        return {"id": task_id, "root_id": task_id}
    own: dict[str, Any] = {}
    for option, value in said.items():
        if option in _OWN:
            header, kind = _OWN[option]
            if type(value) is not kind:
                return None
            own[header] = value
    task_id = own["id"] = own.get("id") or new_id()
    if run is not None:
        own["root_id"] = own.get("root_id") or run.root_id or run.id
        own["parent_id"] = own.get("parent_id") or run.id
    own["root_id"] = own.get("root_id") or task_id
    names = {label: own.get(header) for header, label in _NAMES.items()}
    return own if _are_fit({**names, "reply_to": said.get("reply_to")}) else None


def _are_fit(names: dict[str, Any]) -> bool:
    for label, name in names.items():
        if name:
            if type(name) is not str:
                return False
            refuse_unfit_name(label, name)
    return True
