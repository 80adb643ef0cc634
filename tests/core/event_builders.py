"""Builders of events for the tests of the console's mind."""

from typing import Any

NOW = 1_800_000_000.0


def task_event(
    kind: str, task_id: str = "t1", at: float = NOW, worker: str = "w1@h", **fields: Any
):
    return {"type": f"task-{kind}", "uuid": task_id, "timestamp": at, "hostname": worker, **fields}


def heartbeat(worker: str = "w1@h", at: float = NOW, kind: str = "heartbeat", **fields: Any):
    return {
        "type": f"worker-{kind}",
        "hostname": worker,
        "timestamp": at,
        "freq": 2.0,
        "pid": 7,
        "active": 0,
        "processed": 0,
        "loadavg": [0.1, 0.2, 0.3],
        "sw_ident": "py-celery",
        "sw_ver": "5.7.0",
        "sw_sys": "Linux",
        **fields,
    }


def life(
    task_id: str, at: float = NOW, worker: str = "w1@h", name: str = "proj.add", **received: Any
):
    """One task from received to succeeded, 0.1 s each step."""
    return [
        task_event(
            "received", task_id, at, worker, name=name, args="(2, 2)", kwargs="{}", **received
        ),
        task_event("started", task_id, at + 0.1, worker),
        task_event("succeeded", task_id, at + 0.2, worker, result="4", runtime=0.1),
    ]
