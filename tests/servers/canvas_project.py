"""One project twice, for workflows on one Redis: `ours` of this engine, `theirs` a real Celery app.

`REDIS_URL` says where the server is. The same names in both; which fleet runs a task is the queue's
business.
"""

from __future__ import annotations

import os
from typing import Any

import celery

import tqconsole.engine
from tqconsole.engine.app import App

URL = os.environ["REDIS_URL"]

ours = App("ours", broker=URL, backend=URL)
theirs = celery.Celery("theirs", broker=URL, backend=URL, set_as_current=False)


def add(x: int, y: int) -> int:
    return x + y


def double(x: int) -> int:
    return x * 2


def xsum(numbers: list[int]) -> int:
    return sum(numbers)


def ident(x: Any) -> Any:
    return x


def fail(*args: Any) -> None:
    raise ValueError("no")


def failed(task_id: str, list_name: str) -> None:
    import redis

    with redis.Redis.from_url(URL) as link:
        link.rpush(list_name, task_id)


def grow(self: Any, x: int) -> int:
    """Add a part to the chord that it is part of."""
    self.add_to_chord(self.app.tasks["double"].s(x))
    return x


def branch(self: Any, x: int) -> None:
    """Be replaced by a group."""
    module = celery if isinstance(self.app, celery.Celery) else tqconsole.engine
    add_one = self.app.tasks["add"]
    raise self.replace(module.group(add_one.s(x, 1), add_one.s(x + 1, 1)))


for app in (ours, theirs):
    for function in (add, double, xsum, ident, fail, failed):
        app.task(name=function.__name__)(function)
    for function in (grow, branch):
        app.task(name=function.__name__, bind=True)(function)
    app.conf.update(broker_connection_retry_on_startup=True)
