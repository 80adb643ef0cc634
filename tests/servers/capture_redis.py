"""Record the real Celery on Redis: lists are read, channels listened to."""

from __future__ import annotations

import base64
import json
import threading
import time
import uuid
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import redis
from brokers_up import redis_up
from capture_app import PARKED, add, app, configure, echo, fail, retry
from capture_cases import PATIENCE_S, REQUESTS, Vector, instant, task_calls, without_paths, worker
from celery import chain, chord, group


def record_redis(folder: Path) -> Iterator[Vector]:
    """Yield every vector of Redis."""
    with redis_up(folder / "redis") as server:
        link = redis.Redis(port=server.port)
        configure(server.url, server.url)
        yield from redis_task_vectors(link)
        yield from redis_worker_vectors(folder, server.url, link)
        yield from redis_extended_vectors(folder, server.url, link)


def redis_task_vectors(link: redis.Redis) -> Iterator[Vector]:
    """Yield the envelopes that a client leaves in lists nobody reads."""
    body = echo.s().set(queue="wire")
    chords = {
        "chord": lambda: chord([add.s(1, 2), add.s(3, 4)], body).apply_async(queue="wire"),
        "chain_to_chord": lambda: chain(add.s(1, 2), group(add.s(3), add.s(4)), body).apply_async(
            queue="wire"
        ),
    }
    for name, call in {**task_calls("wire"), **chords}.items():
        call()
        yield from _envelopes(link, "wire", f"redis-task-{name}")


def _envelopes(link: redis.Redis, queue: str, name: str) -> list[Vector]:
    found = []
    for key in [queue, *(f"{queue}\x06\x16{step}" for step in (3, 6, 9))]:
        for position, text in enumerate(reversed(link.lrange(key, 0, -1))):
            suffix = f"-{position}" if position else ""
            found.append(
                {
                    "name": name + suffix,
                    "kind": "task",
                    "transport": "redis",
                    "key": key,
                    "envelope": text.decode(),
                }
            )
        link.delete(key)
    return found


class Listener:
    """Everything published on channels that fit the patterns, in order."""

    def __init__(self, link: redis.Redis, *patterns: str) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self._news = threading.Condition()
        self._pubsub = link.pubsub(ignore_subscribe_messages=True)
        self._pubsub.psubscribe(**dict.fromkeys(patterns, self._on_message))
        self._thread = self._pubsub.run_in_thread(sleep_time=0.1, daemon=True)

    def _on_message(self, message: dict[str, Any]) -> None:
        with self._news:
            self.heard.append((message["channel"].decode(), message["data"]))
            self._news.notify_all()

    def wait_for(self, is_there: Callable[[list[tuple[str, bytes]]], Any]) -> Any:
        """Return the first true answer of `is_there(heard)`."""
        end_mono = time.monotonic() + PATIENCE_S
        with self._news:
            while not (found := is_there(self.heard)):
                if not self._news.wait(end_mono - time.monotonic()):
                    raise TimeoutError([channel for channel, _ in self.heard])
            return found

    def close(self) -> None:
        """Stop listening."""
        self._thread.stop()
        self._thread.join()


def run_everything(listener: Listener, *, is_short: bool = False) -> None:
    """Run one task of each fate and wait until each has said its last word."""
    ran = {
        "success": add.delay(2, 3),
        "failure": fail.delay(),
        "children": app.send_task("tasks.spawn"),
        "stamped": _run_stamped(),
        "tracked": app.send_task("tasks.tracked"),
    }
    if not is_short:
        ran["rich"] = app.send_task("tasks.rich")
        ran["odd_failure"] = app.send_task("tasks.fail_oddly")
        ran["retry"] = retry.apply_async((1,), {"a": 2}, headers={"x": 1}, link=echo.s())
        ran["retry_in_place"] = app.send_task("tasks.retry_in_place")
        ran["expired"] = add.apply_async((1, 1), expires=instant("2001-01-01T00:00:00+00:00"))
        ran["unregistered"] = app.send_task("tasks.nosuch")
        ran["rejected"] = app.send_task("tasks.reject")
        ran["hard_limit"] = app.send_task("tasks.wait", (30,), time_limit=1)
        ran["soft_limit"] = app.send_task("tasks.wait", (30,), soft_time_limit=1)
        ran["grouped"] = group(add.s(1, 2), fail.s())().results[1]
        ran["linked"] = add.apply_async((1, 2), link=add.s(3).set(queue=PARKED))
        ran["chained"] = chain(add.s(1, 2), add.s(3).set(queue=PARKED))().parent
        ran["revoked"] = revoked = _run_revoked()
        revoked.revoke()
        ran["terminated"] = doomed = app.send_task("tasks.wait", (30,))
        listener.wait_for(lambda heard: _has_event(heard, "task-started", doomed.id))
        doomed.revoke(terminate=True)
        ran["chord_error"] = chord([add.s(1, 2), fail.s()])(echo.s().on_error(echo.si()))
    NAMES.update({asynchronous.id: name for name, asynchronous in ran.items()})
    for name, asynchronous in ran.items():
        if name == "rejected":
            continue
        listener.wait_for(lambda heard, end=asynchronous.id: _has_ended(heard, end))
    if "revoked" in ran:
        # The record is there before the message is gone, and the next worker would run it.
        revoked_id = ran["revoked"].id
        listener.wait_for(lambda heard: _has_event(heard, "task-revoked", revoked_id))


#: task id -> name of the case.
NAMES: dict[str, str] = {}


def _run_stamped() -> Any:
    signature = add.s(2, 3)
    signature.stamp(customer="acme")
    return signature.apply_async()


def _run_revoked() -> Any:
    """Send a task of which the worker knows that it is revoked before it comes."""
    task_id = str(uuid.uuid4())
    arguments = {"task_id": [task_id], "terminate": False}
    app.control.broadcast("revoke", arguments, reply=True, limit=1, timeout=PATIENCE_S)
    return add.apply_async((1, 1), countdown=2, task_id=task_id)


def _has_ended(heard: list[tuple[str, bytes]], task_id: str) -> bool:
    key = f"celery-task-meta-{task_id}"
    ends = ("SUCCESS", "FAILURE", "REVOKED", "RETRY")
    return any(channel == key and _status(record) in ends for channel, record in heard)


def _status(record: bytes) -> str:
    if record.startswith(b"\x00"):
        record = zlib.decompress(record.rpartition(b"application/x-gzip\x00")[2])
    status: str = json.loads(record)["status"]
    return status


def _events_in(data: bytes) -> list[dict[str, Any]]:
    body = json.loads(base64.b64decode(json.loads(data)["body"]))
    return body if isinstance(body, list) else [body]


def _has_event(heard: list[tuple[str, bytes]], kind: str, task_id: str | None = None) -> bool:
    return any(
        event["type"] == kind and task_id in (None, event.get("uuid"))
        for channel, data in heard
        if "celeryev" in channel
        for event in _events_in(data)
    )


def redis_worker_vectors(folder: Path, url: str, link: redis.Redis) -> Iterator[Vector]:
    """Yield records, events, commands and replies of a worker that runs everything."""
    listener = Listener(link, "celery-task-meta-*", "/0.celeryev/*", "/0.celery.pidbox")
    with worker(folder, url, url):
        listener.wait_for(lambda heard: _has_event(heard, "worker-heartbeat"))
        run_everything(listener)
        replies = list(_redis_replies(link))
        # An unregistered task's and a rejected one's event come last.
        listener.wait_for(lambda heard: _has_event(heard, "task-rejected"))
    listener.wait_for(lambda heard: _has_event(heard, "worker-offline"))
    listener.close()
    yield from replies
    yield from _record_vectors(listener.heard, "redis-result")
    yield from _event_vectors(listener.heard)
    yield from _request_vectors(listener.heard)
    for vector in _envelopes(link, PARKED, "redis-task-parked"):
        headers = json.loads(vector["envelope"])["headers"]
        origin = NAMES.get(headers["parent_id"], "other")
        yield {**vector, "name": f"redis-task-sent-by-{origin}"}


def redis_extended_vectors(folder: Path, url: str, link: redis.Redis) -> Iterator[Vector]:
    """Yield the records of a worker with other settings of the result store."""
    for name, settings in {
        "extended": {"result_extended": True},
        "compressed": {"result_compression": "gzip"},
    }.items():
        listener = Listener(link, "celery-task-meta-*", "/0.celeryev/*")
        with worker(folder, url, url, **settings):
            run_everything(listener, is_short=True)
        listener.close()
        yield from _record_vectors(listener.heard, f"redis-result-{name}")


def _record_vectors(heard: list[tuple[str, bytes]], prefix: str) -> Iterator[Vector]:
    seen: set[str] = set()
    for channel, record in heard:
        if not channel.startswith("celery-task-meta-"):
            continue
        case = NAMES.get(channel.removeprefix("celery-task-meta-"))
        if case is None:
            continue
        name = f"{prefix}-{case}-{_status(record).lower()}"
        if name in seen:
            continue
        seen.add(name)
        yield {
            "name": name,
            "kind": "result",
            "transport": "redis",
            "key": channel,
            "record": base64.b64encode(without_paths(record)).decode(),
        }


def _event_vectors(heard: list[tuple[str, bytes]]) -> Iterator[Vector]:
    seen: set[str] = set()
    for channel, data in heard:
        if not channel.startswith("/0.celeryev"):
            continue
        for event in _events_in(data):
            name = _event_name(event)
            if name not in seen:
                seen.add(name)
                envelope = json.loads(data)
                body = base64.b64decode(envelope["body"])
                envelope["body"] = base64.b64encode(without_paths(body)).decode()
                yield {
                    "name": f"redis-event-{name}",
                    "kind": "event",
                    "transport": "redis",
                    "key": channel,
                    "type": event["type"],
                    "envelope": json.dumps(envelope),
                }


def _event_name(event: dict[str, Any]) -> str:
    case = NAMES.get(event.get("uuid", ""))
    kind: str = event["type"]
    if kind in ("task-failed", "task-revoked") and case:
        return f"{kind}-{case}"
    return kind


def _request_vectors(heard: list[tuple[str, bytes]]) -> Iterator[Vector]:
    seen: set[str] = set()
    for channel, data in heard:
        if channel != "/0.celery.pidbox":
            continue
        body = json.loads(base64.b64decode(json.loads(data)["body"]))
        name = body["method"] + ("" if "ticket" in body else "-cast")
        if name not in seen:
            seen.add(name)
            yield {
                "name": f"redis-request-{name}",
                "kind": "request",
                "transport": "redis",
                "key": channel,
                "envelope": data.decode(),
            }


def _redis_replies(link: redis.Redis) -> Iterator[Vector]:
    """Send each command through kombu's own mailbox and take the reply from the list ourselves."""
    mailbox = app.control.mailbox
    with app.connection_for_write() as connection, connection.channel() as channel:
        queue = mailbox.get_reply_queue()(channel)
        queue.declare()
        for name, (method, arguments, options) in REQUESTS.items():
            ticket = str(uuid.uuid4())
            mailbox._publish(
                method, arguments, reply_ticket=ticket, channel=channel, timeout=5, **options
            )
            popped = link.brpop([queue.name], timeout=int(PATIENCE_S))
            if popped is None:
                raise TimeoutError(f"no reply to {name}")
            yield {
                "name": f"redis-reply-{name}",
                "kind": "reply",
                "transport": "redis",
                "key": queue.name,
                "envelope": popped[1].decode(),
            }
        queue.delete()
