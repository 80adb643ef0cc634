"""A worker's panel without a worker: it remembers what it was told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from tqconsole.engine.clock import LamportClock
from tqconsole.engine.exceptions import NotSupportedError

INFO = {
    "id": "id-1",
    "name": "proj.tasks.add",
    "args": [2, 2],
    "kwargs": {},
    "type": "proj.tasks.add",
    "hostname": "w1@lab",
    "time_start": None,
    "acknowledged": False,
    "delivery_info": {
        "exchange": "",
        "routing_key": "celery",
        "priority": 0,
        "redelivered": False,
    },
    "worker_pid": 7,
}


class StubPanel:
    def __init__(self, hostname: str = "w1@lab") -> None:
        self.hostname = hostname
        self.calls: list[tuple[Any, ...]] = []
        self.revoked_now = ["old"]
        self.running_ids = ["id-1"]
        self.is_autoscaled = False
        self.has_events = False
        self.app = SimpleNamespace(
            clock=LamportClock(41),
            tasks={
                "proj.tasks.add": SimpleNamespace(rate_limit=None, exchange=None),
                "proj.tasks.slow": SimpleNamespace(rate_limit="10/m", priority=3),
                "celery.chain": SimpleNamespace(rate_limit=None),
            },
            bugreport=lambda: "software -> tqconsole",
            conf=SimpleNamespace(table=self._conf),
        )

    def _conf(self, with_defaults: bool) -> dict[str, Any]:
        table = {"broker_url": "sqlite:////q.db", "result_expires": {1, 2}.__class__}
        return table | ({"task_acks_late": False} if with_defaults else {})

    def active(self) -> list[dict[str, Any]]:
        return [dict(INFO)]

    def reserved(self) -> list[dict[str, Any]]:
        return []

    def scheduled(self) -> list[dict[str, Any]]:
        return [{"eta": None, "priority": 6, "request": dict(INFO)}]

    def revoked_ids(self) -> list[str]:
        return self.revoked_now

    def revoke(self, task_ids: Sequence[str]) -> None:
        self.revoked_now += task_ids

    def revoke_stamped(self, headers: Mapping[str, Any]) -> list[str]:
        self.calls.append(("revoke_stamped", dict(headers)))
        return self.running_ids

    def merge_revoked(self, task_ids: Sequence[str]) -> None:
        self.revoked_now += task_ids

    def terminate(self, task_ids: Sequence[str], signal_name: str) -> list[str]:
        if not signal_name.startswith("SIG"):
            raise ValueError(f"unknown signal {signal_name}")
        self.calls.append(("terminate", tuple(task_ids), signal_name))
        return [task_id for task_id in task_ids if task_id in self.running_ids]

    def query_task(self, task_ids: Sequence[str]) -> dict[str, Any]:
        return {task_id: ["active", dict(INFO)] for task_id in task_ids if task_id == "id-1"}

    def stats(self) -> dict[str, Any]:
        return {"pid": 7, "clock": "41"}

    def queues(self) -> list[dict[str, Any]]:
        return [{"name": "celery"}]

    def set_rate_limit(self, task_name: str, rate_limit: Any) -> None:
        self._known(task_name)
        if rate_limit == "often":
            raise ValueError("cannot read often")
        self.calls.append(("rate_limit", task_name, rate_limit))

    def set_time_limit(self, task_name: str, hard_s: Any, soft_s: Any) -> None:
        self._known(task_name)
        self.calls.append(("time_limit", task_name, hard_s, soft_s))

    def enable_events(self) -> bool:
        was_off, self.has_events = not self.has_events, True
        return was_off

    def disable_events(self) -> bool:
        was_on, self.has_events = self.has_events, False
        return was_on

    def send_heartbeat(self) -> None:
        self.calls.append(("heartbeat",))

    def pool_grow(self, count: int) -> None:
        if self.is_autoscaled:
            raise ValueError("the pool scales itself: change its bounds with autoscale")
        self.calls.append(("grow", count))

    def pool_shrink(self, count: int) -> None:
        raise NotSupportedError("a solo pool has one slot")

    def pool_restart(self, modules: Sequence[str] | None, *, is_reloading: bool) -> None:
        raise ValueError("Pool restarts not enabled")

    def autoscale(self, max_count: int | None, min_count: int | None) -> tuple[int, int]:
        return max_count or 9, min_count or 1

    def add_consumer(
        self,
        queue: str,
        exchange: str | None,
        exchange_type: str | None,
        routing_key: str | None,
        options: Mapping[str, Any],
    ) -> bool:
        self.calls.append(
            ("add_consumer", queue, exchange, exchange_type, routing_key, dict(options))
        )
        return True

    def cancel_consumer(self, queue: str) -> None:
        self.calls.append(("cancel_consumer", queue))

    def shutdown(self) -> None:
        self.calls.append(("shutdown",))

    def _known(self, task_name: str) -> None:
        if task_name not in self.app.tasks:
            raise KeyError(task_name)
