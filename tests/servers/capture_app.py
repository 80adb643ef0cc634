"""The real Celery app whose traffic is recorded: `python capture_app.py BROKER BACKEND worker ...`.

Host names are fixed before Celery reads them, so that recordings name no machine.
"""

from __future__ import annotations

import socket
import sys

socket.gethostname = lambda: "lab"

from datetime import UTC, datetime  # noqa: E402 - the host name must be set before Celery reads it
from decimal import Decimal  # noqa: E402
from uuid import UUID  # noqa: E402

from celery import Celery, Task  # noqa: E402
from celery.exceptions import Ignore, Reject  # noqa: E402

#: Nobody consumes from it: what a worker sends there can be looked at.
PARKED = "parked"

app = Celery("capture")


@app.task(name="tasks.add")
def add(x: int, y: int) -> int:
    return x + y


@app.task(name="tasks.echo")
def echo(*args: object, **kwargs: object) -> object:
    return [*args, kwargs] if kwargs else list(args)


@app.task(name="tasks.rich")
def rich() -> dict[str, object]:
    return {
        "datetime": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        "date": datetime(2026, 1, 2).date(),
        "time": datetime(2026, 1, 2, 3, 4, 5).time(),
        "decimal": Decimal("1.10"),
        "uuid": UUID(int=1),
        "bytes": b"abc",
        "base64": b"\xff\x00",
        "text": "héllo ☃",
        "nan": float("nan"),
        "big": 10**30,
        "keys": {1: 2, None: 3},
    }


@app.task(name="tasks.fail")
def fail() -> None:
    raise ValueError("bad", 7)


class NestedError:
    class OddError(Exception):
        """Its qualified name has a dot, its argument is no JSON."""


@app.task(name="tasks.fail_oddly")
def fail_oddly() -> None:
    raise NestedError.OddError({1, 2}, None, 1.5)


@app.task(name="tasks.retry", bind=True, max_retries=3)
def retry(self: Task, *args: object, **kwargs: object) -> None:
    raise self.retry(exc=KeyError("again"), countdown=60, queue=PARKED, args=args, kwargs=kwargs)


@app.task(name="tasks.retry_in_place", bind=True, max_retries=3)
def retry_in_place(self: Task) -> int:
    if self.request.retries == 0:
        raise self.retry(countdown=0.1)
    return self.request.retries


@app.task(name="tasks.tracked", bind=True, track_started=True)
def tracked(self: Task) -> str:
    self.update_state(state="PROGRESS", meta={"done": 1, "total": 3})
    self.send_event("task-progress", done=1, total=3)
    return "tracked"


@app.task(name="tasks.wait", soft_time_limit=None)
def wait(seconds: float) -> None:
    import time

    time.sleep(seconds)


@app.task(name="tasks.ignore")
def ignore() -> None:
    raise Ignore


@app.task(name="tasks.reject", acks_late=True)
def reject() -> None:
    raise Reject("no", requeue=False)


@app.task(name="tasks.spawn")
def spawn() -> str:
    add.apply_async((1, 1), queue=PARKED)
    return "spawned"


def configure(broker: str, backend: str, **settings: object) -> Celery:
    """Point the app at servers; everything else is Celery's default unless a recording needs it."""
    app.conf.update(
        broker_url=broker,
        result_backend=backend,
        broker_connection_retry_on_startup=True,
        task_send_sent_event=True,
        worker_send_task_events=True,
        timezone="UTC",
        **settings,
    )
    return app


if __name__ == "__main__":
    import json

    broker_url, backend_url, settings_json, *argv = sys.argv[1:]
    configure(broker_url, backend_url, **json.loads(settings_json))
    app.start(argv)
