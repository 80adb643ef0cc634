"""What was learned by asking, as values: folded into the model now, or again from a recording.

A fact is its kind and a value that JSON can carry; what each kind does to the model stands in one
table. Replies are whatever workers say, so each teller looks at shapes before it uses them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from tqconsole.core.cluster import Cluster
from tqconsole.core.reconcile import Ended
from tqconsole.core.sanitize import clean_name
from tqconsole.engine import states
from tqconsole.engine.protocol.transfer import QueueDepth


@dataclass(frozen=True, slots=True)
class Told:
    """One fact. `kind` is a key of `KINDS`."""

    kind: str
    value: Any

    def tell(self, cluster: Cluster, now_at: float) -> None:
        """Fold it into the model."""
        KINDS[self.kind](cluster, self.value, now_at)


def _depths(cluster: Cluster, value: Mapping[str, QueueDepth], now_at: float) -> None:
    for name, depth in value.items():
        cluster.queues.queue(name).note_depth(depth, now_at)


def _whereabouts(
    cluster: Cluster, value: tuple[list[str], Mapping[str, Any]], now_at: float
) -> None:
    asked_ids, replies = value
    cluster.note_whereabouts(asked_ids, replies, now_at)


def _unacked(cluster: Cluster, value: int | None, _now_at: float) -> None:
    cluster.queues.unacked_count = value


def _heads(cluster: Cluster, value: Mapping[str, str], now_at: float) -> None:
    for name, task_id in value.items():
        row = cluster.store.get(clean_name(task_id))
        sent_at = row.sent_at if row is not None else None
        cluster.queues.queue(name).note_head(task_id, sent_at, now_at)


def _letters(cluster: Cluster, value: Mapping[str, int], _now_at: float) -> None:
    for name, count in value.items():
        cluster.queues.queue(name).dead_count = count


def _live(cluster: Cluster, value: list[str], now_at: float) -> None:
    cluster.nodes.note_live(set(value), now_at)


def _stats(cluster: Cluster, value: tuple[float, Mapping[str, Any]], now_at: float) -> None:
    elapsed_s, replies = value
    for name, stats in replies.items():
        node = cluster.nodes.note_reply(name, now_at, elapsed_s)
        if isinstance(stats, Mapping):
            cluster.nodes.note_stats(node, stats)


def _queues(cluster: Cluster, value: tuple[float, Mapping[str, Any]], now_at: float) -> None:
    elapsed_s, replies = value
    for name, queues in replies.items():
        node = cluster.nodes.note_reply(name, now_at, elapsed_s)
        names = [
            queue["name"]
            for queue in queues or ()
            if isinstance(queue, Mapping) and isinstance(queue.get("name"), str)
        ]
        node.queues = tuple(cluster.queues.queue(name).name for name in names[:1000])


def _in_hand(cluster: Cluster, value: tuple[str, Mapping[str, Any]], now_at: float) -> None:
    state, replies = value
    held: dict[str, frozenset[str]] = {}
    for name, requests in replies.items():
        if isinstance(requests, list):
            bare = [entry.get("request", entry) for entry in requests if isinstance(entry, Mapping)]
            cluster.note_backfill(name, bare, state, now_at)
            cluster.queues.note_holding(bare)
            held[clean_name(name)] = frozenset(clean_name(entry.get("id")) for entry in bare)
    if state == states.STARTED:
        cluster.note_held(held, now_at)


def _in_hand_told(cluster: Cluster, has_answers: bool | None, now_at: float) -> None:  # noqa: FBT001 - a fact's value
    cluster.note_in_hand_told()
    if has_answers:
        cluster.queues.note_holding_told(now_at)


def _registered(cluster: Cluster, value: Mapping[str, Any], _now_at: float) -> None:
    for names in value.values():
        cluster.note_registered(names or ())


def _ends(cluster: Cluster, value: list[Ended], now_at: float) -> None:
    cluster.note_ends(value, now_at)


#: Kind -> what it does to the model: (cluster, value, now_at).
KINDS: Mapping[str, Callable[[Cluster, Any, float], None]] = {
    "depths": _depths,
    "heads": _heads,
    "letters": _letters,
    "live": _live,
    "stats": _stats,
    "queues": _queues,
    "in_hand": _in_hand,
    "in_hand_told": _in_hand_told,
    "unacked": _unacked,
    "whereabouts": _whereabouts,
    "registered": _registered,
    "ends": _ends,
}
#: Kinds whose values are more than JSON has, and of what type they are.
_TYPES: Mapping[str, Any] = {
    "depths": dict[str, QueueDepth],
    "heads": dict[str, str],
    "letters": dict[str, int],
    "live": list[str],
    "stats": tuple[float, dict[str, Any]],
    "queues": tuple[float, dict[str, Any]],
    "in_hand": tuple[str, dict[str, Any]],
    "in_hand_told": bool | None,
    "unacked": int | None,
    "whereabouts": tuple[list[str], dict[str, Any]],
    "registered": dict[str, Any],
    "ends": list[Ended],
}


def read_fact(kind: str, value: object) -> Told | None:
    """Return a recorded fact; None for a kind that this version does not know.

    Raises: msgspec.ValidationError for a value that is none of its kind.
    """
    if kind not in KINDS:
        return None
    return Told(kind, msgspec.convert(value, _TYPES[kind]))
