"""Clusters in the states in which a console is opened: with nothing in them, and out of reach."""

from __future__ import annotations

from dataclasses import replace

from fake import NOW_AT, FakeSession

from tqconsole.core.views import EventLine, Snapshot, Totals


class EmptySession(FakeSession):
    """A broker that answers, with no worker, no queue, no task and no event."""

    def __init__(self) -> None:
        super().__init__([])
        self.letters = ()
        self.view = Snapshot(
            now_at=NOW_AT,
            context="staging",
            broker_url="redis://cache1:6379/0",
            broker_reason="context staging",
            link="live",
            rows_limit=100_000,
        )

    def events(self, expression: str = "", limit: int = 1000) -> tuple[EventLine, ...]:
        return ()


class BrokenSession(FakeSession):
    """A cluster whose broker went away half a minute ago: what was known stands, and grows old."""

    def __init__(self) -> None:
        super().__init__()
        view = self.view
        workers = tuple(
            replace(
                worker,
                status="silent" if worker.status == "online" else worker.status,
                last_heartbeat_at=NOW_AT - 34,
                last_reply_at=NOW_AT - 36,
                rate_per_s=None,
            )
            for worker in view.workers
        )
        queues = tuple(
            replace(
                queue,
                ready_count=None,
                unacked_count=None,
                parked_count=None,
                consumer_count=None,
                oldest_s=None,
                in_per_s=0.0,
                out_per_s=0.0,
                drains_in_s=None,
            )
            for queue in view.queues
        )
        self.view = replace(
            view,
            link="reconnecting",
            link_detail="mq1:5672: connection refused; tried again every 5 s",
            events_per_s=0.0,
            workers=workers,
            queues=queues,
            totals=Totals(0, 5, 29, 68, None, 0.0, 0.0042, 0.0, 1.8),
        )
