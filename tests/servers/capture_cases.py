"""What the recorded client and worker are made to do, whichever broker carries it."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import celery
from capture_app import add, app, echo, fail
from celery import chain, group

HERE = Path(__file__).resolve().parent
NODE = "w1@lab"
#: Far away: nobody shall wait for it.
ETA = "2126-11-20T22:58:40.435663+00:00"
#: Seconds until something must have been seen.
PATIENCE_S = 30.0
Vector = dict[str, Any]


#: name -> (method, arguments, options of the mailbox).
REQUESTS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "ping": ("ping", {}, {}),
    "ping-to": ("ping", {}, {"destination": [NODE]}),
    "ping-glob": ("ping", {}, {"pattern": "w1@*", "matcher": "glob"}),
    "stats": ("stats", {}, {}),
    "registered": ("registered", {"taskinfoitems": ["rate_limit"]}, {}),
    "active": ("active", {"safe": True}, {}),
    "active_queues": ("active_queues", {}, {}),
    "query_task": ("query_task", {"ids": ["nosuch"]}, {}),
    "hello": ("hello", {"from_node": "w2@lab", "revoked": []}, {}),
    "clock": ("clock", {}, {}),
    "heartbeat": ("heartbeat", {}, {}),
    "rate_limit": ("rate_limit", {"task_name": "tasks.add", "rate_limit": "10/m"}, {}),
    "time_limit": ("time_limit", {"task_name": "tasks.add", "hard": 60, "soft": 50}, {}),
    "revoke": ("revoke", {"task_id": ["nosuch"], "terminate": False}, {}),
    "enable_events": ("enable_events", {}, {}),
    "pool_grow": ("pool_grow", {"n": 1}, {}),
    "autoscale": ("autoscale", {"max": 5, "min": 2}, {}),
    "add_consumer": ("add_consumer", {"queue": "foo"}, {}),
    "cancel_consumer": ("cancel_consumer", {"queue": "foo"}, {}),
    "unknown": ("nosuch", {}, {}),
}


def task_calls(queue: str) -> dict[str, Callable[[], Any]]:
    """Return name -> a call that sends one (chord, group: several) task messages to `queue`."""
    to: dict[str, Any] = {"queue": queue}
    sig = add.s(4).set(queue=queue)
    return {
        "plain": lambda: add.apply_async((2, 3), **to),
        "kwargs": lambda: echo.apply_async(
            ("é'x", [1, [2, [3, [4]]]]), {"k": None, "f": 1.5}, **to
        ),
        "bare": lambda: app.send_task("tasks.add", (2, 3), **to),
        "countdown": lambda: add.apply_async((2, 3), countdown=3600, **to),
        "eta": lambda: add.apply_async((2, 3), eta=instant(ETA), **to),
        "expires": lambda: add.apply_async((2, 3), expires=120, **to),
        "expires_at": lambda: add.apply_async(
            (2, 3), expires=datetime.now(UTC) + timedelta(days=1), **to
        ),
        "priority": lambda: add.apply_async((2, 3), priority=5, **to),
        "link": lambda: add.apply_async((2, 3), link=sig, link_error=[fail.si(), fail.si()], **to),
        "chain": lambda: chain(add.s(1, 2), add.s(3), add.s(4)).apply_async(**to),
        "group": lambda: group(add.s(1, 2), add.s(3, 4)).apply_async(**to),
        "headers": lambda: add.apply_async((2, 3), headers={"x": 1, "trace": {"a": ["b"]}}, **to),
        "shadow": lambda: add.apply_async((2, 3), shadow="shadowed", **to),
        "gzip": lambda: echo.apply_async(("x" * 200,), compression="gzip", **to),
        "bzip2": lambda: echo.apply_async(("x" * 200,), compression="bzip2", **to),
        "time_limits": lambda: add.apply_async((2, 3), time_limit=30, soft_time_limit=20.5, **to),
        "ignore_result": lambda: add.apply_async((2, 3), ignore_result=True, **to),
        "stamped": lambda: _stamped(queue),
        "rich": lambda: echo.apply_async((b"\xff", uuid.UUID(int=1), float("nan"), {1: 2}), **to),
        "reprs": lambda: add.apply_async((2, 3), argsrepr="<hidden>", kwargsrepr="<none>", **to),
        "transient": lambda: add.apply_async((2, 3), delivery_mode=1, **to),
        "long_repr": lambda: echo.apply_async(("word " * 400, list(range(300))), **to),
        "pickle": lambda: add.apply_async((2, 3), serializer="pickle", **to),
        "msgpack": lambda: add.apply_async((2, 3), serializer="msgpack", **to),
        "yaml": lambda: add.apply_async((2, 3), serializer="yaml", **to),
        "map": lambda: add.starmap([(1, 2), (3, 4)]).apply_async(**to),
        "chunks": lambda: add.chunks([(1, 2), (3, 4)], 1).apply_async(**to),
    }


def instant(text: str) -> datetime:
    """Return the date in a text."""
    return datetime.fromisoformat(text)


def _stamped(queue: str) -> None:
    signature = add.s(2, 3)
    signature.stamp(customer="acme", trace=[1, 2])
    signature.apply_async(queue=queue)


@contextlib.contextmanager
def worker(folder: Path, broker: str, backend: str, **settings: Any) -> Iterator[None]:
    """Run a real worker with two processes on queue `celery`."""
    options = ["-n", NODE, "-P", "prefork", "-c", "2", "-l", "info", "--heartbeat-interval", "1"]
    command = [sys.executable, str(HERE / "capture_app.py"), broker, backend]
    command += [json.dumps(settings), "worker", *options]
    with (folder / f"worker-{uuid.uuid4().hex[:6]}.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=HERE)
    try:
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


_APP = str(HERE)
_SITE = str(Path(celery.__file__).resolve().parent.parent)


def without_paths(data: bytes) -> bytes:
    """Return the bytes without the folders of this machine."""
    return data.replace(_SITE.encode(), b"/site-packages").replace(_APP.encode(), b"/app")
