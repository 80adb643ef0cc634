"""Makes the snapshot that screens draw; its costly parts once a second, not once a frame."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from tqconsole.core.attention import find_attention
from tqconsole.core.cluster import Cluster
from tqconsole.core.type_views import TypeView
from tqconsole.core.views import QueueView, Snapshot, Totals, WorkerView

#: Task types in a snapshot, the busiest first.
TYPE_LIMIT = 500


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a snapshot says besides the cluster: where it is and how the link does."""

    context: str = ""
    broker_url: str = ""
    broker_reason: str = ""
    is_demo: bool = False
    is_read_only: bool = False
    context_color: str = ""


class Picture:
    """Keeps the last snapshot and makes the next out of what changed."""

    def __init__(self, cluster: Cluster, surroundings: Surroundings) -> None:
        self._cluster = cluster
        #: What is wrong with the history's file or the recording; "" when nothing is.
        self.file_note = ""
        self.recorded_bytes: int | None = None
        self._last = Snapshot(
            now_at=0.0,
            context=surroundings.context,
            context_color=surroundings.context_color,
            broker_url=surroundings.broker_url,
            broker_reason=surroundings.broker_reason,
            is_demo=surroundings.is_demo,
            is_read_only=surroundings.is_read_only,
        )

    def frame(self, now_at: float, link: str, link_detail: str) -> Snapshot:
        """Return the last picture with this frame's time, link, failures and row counts."""
        store = self._cluster.store
        self._last = replace(
            self._last,
            now_at=now_at,
            link=link,
            link_detail=link_detail,
            failures=self._cluster.failures(),
            rows_kept=len(store),
            rows_limit=store.rows_limit,
            bytes_kept=store.bytes_kept,
            file_note=self.file_note,
            recorded_bytes=self.recorded_bytes,
        )
        return self._last

    def renew(self, now_at: float) -> None:
        """Work out everything else: once a second, and when workers or queues changed."""
        cluster = self._cluster
        workers = tuple(node.view(now_at) for node in cluster.nodes.workers())
        queues = self._queues(now_at)
        self._last = replace(
            self._last,
            events_per_s=cluster.stats.events_per_s(now_at),
            missed_count=cluster.nodes.missed_count() + cluster.dropped_count,
            has_task_events=cluster.has_task_events(now_at),
            has_sent_events=cluster.has_sent_events(now_at),
            totals=self._totals(workers, queues, now_at),
            charts=cluster.stats.charts(now_at),
            workers=workers,
            queues=queues,
            types=self._types(now_at),
            beat=cluster.beat.picture(cluster.store.get),
            attention=tuple(find_attention(cluster, queues, now_at)),
            task_names=cluster.task_names(),
            oldest_at=cluster.store.oldest_at(),
        )

    def _queues(self, now_at: float) -> tuple[QueueView, ...]:
        counts = self._cluster.consumer_counts(now_at)
        knows_consumers = any(node.queues for node in self._cluster.nodes)
        views = [
            queue.view(now_at, counts.get(queue.name, 0) if knows_consumers else None)
            for queue in self._cluster.queues
        ]
        return tuple(sorted(views, key=lambda view: (-(view.ready_count or 0), view.name)))

    def _types(self, now_at: float) -> tuple[TypeView, ...]:
        types = list(self._cluster.stats.types.values())
        column_count = self._cluster.stats.columns(now_at)
        views = [stats.view(now_at, column_count) for stats in types[-TYPE_LIMIT:]]
        return tuple(sorted(views, key=lambda view: (-view.rate_per_s, -view.count, view.name)))

    def _totals(
        self, workers: Iterable[WorkerView], queues: Sequence[QueueView], now_at: float
    ) -> Totals:
        online = [worker for worker in workers if worker.status == "online"]
        known = [worker for worker in workers if worker.status != "gone"]
        done, failed, retried = self._cluster.stats.rates(now_at)
        ended = done + failed
        active_count = sum(worker.active_count or 0 for worker in online)
        ready = [queue.ready_count for queue in queues if queue.ready_count is not None]
        return Totals(
            workers_online=len(online),
            workers_known=len(known),
            active_count=active_count,
            slot_count=_slot_count(online, active_count),
            queued_count=sum(ready) if ready else None,
            done_per_s=done,
            failed_ratio=failed / ended if ended else 0.0,
            retries_per_s=retried,
            p95_s=self._cluster.stats.p95_s(),
            unacked_count=_unacked(queues, self._cluster.queues.unacked_count),
        )


def _unacked(queues: Sequence[QueueView], told: int | None) -> int | None:
    """Return what is in hand: the queues' sum, the broker's word where one does not tell."""
    counts = [queue.unacked_count for queue in queues]
    known = [count for count in counts if count is not None]
    if None in counts and told is not None:
        return max(0, told - sum(queue.parked_count or 0 for queue in queues))
    return sum(known) if known else None


def _slot_count(online: list[WorkerView], active_count: int) -> int | None:
    """Return what the pools bear together, None when one is not known or the sum is stale."""
    slots = [worker.slot_count for worker in online]
    total = sum(slot for slot in slots if slot is not None)
    is_told = bool(slots) and None not in slots
    return total if is_told and total >= active_count else None
