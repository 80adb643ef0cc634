"""Record the real Celery on RabbitMQ: queues of our own, bound beside the real ones, are read."""

from __future__ import annotations

import base64
import json
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import amqp
from brokers_up import rabbitmq_up
from capture_app import add, app, configure, fail
from capture_cases import PATIENCE_S, REQUESTS, Vector, task_calls, without_paths, worker


def record_rabbitmq(folder: Path) -> Iterator[Vector]:
    """Yield every vector of RabbitMQ."""
    with rabbitmq_up(folder / "rabbitmq") as server:
        # A confirmed message lies in its queue when the call returns.
        configure(server.url, "rpc://", broker_transport_options={"confirm_publish": True})
        with amqp.Connection(f"127.0.0.1:{server.port}") as link:
            channel = link.channel()
            yield from amqp_task_vectors(channel)
            yield from amqp_worker_vectors(folder, server.url, channel)


def amqp_vector(name: str, kind: str, message: amqp.Message) -> Vector:
    """Return what basic_get gave: raw body, header table, properties."""
    body = message.body if isinstance(message.body, bytes) else message.body.encode()
    properties = dict(message.properties)
    headers = properties.pop("application_headers", {})
    return {
        "name": name,
        "kind": kind,
        "transport": "amqp",
        "exchange": message.delivery_info["exchange"],
        "routing_key": message.delivery_info["routing_key"],
        "body": base64.b64encode(without_paths(body)).decode(),
        "headers": headers,
        "properties": properties,
    }


def _get(channel: amqp.Channel, queue: str) -> amqp.Message | None:
    message: amqp.Message | None = channel.basic_get(queue, no_ack=True)
    return message


def _get_soon(channel: amqp.Channel, queue: str, pause: threading.Event) -> amqp.Message:
    end_mono = time.monotonic() + PATIENCE_S
    while (message := _get(channel, queue)) is None:
        if time.monotonic() > end_mono:
            raise TimeoutError(queue)
        pause.wait(0.05)
    return message


def amqp_task_vectors(channel: amqp.Channel) -> Iterator[Vector]:
    """Yield the messages that a client leaves in a queue nobody reads."""
    for name, call in task_calls("wire").items():
        call()
        position = 0
        while (message := _get(channel, "wire")) is not None:
            suffix = f"-{position}" if position else ""
            yield amqp_vector(f"amqp-task-{name}{suffix}", "task", message)
            position += 1


def amqp_worker_vectors(folder: Path, url: str, channel: amqp.Channel) -> Iterator[Vector]:
    """Yield rpc results, events, commands and replies, from queues bound beside the real ones."""
    pause = threading.Event()
    channel.exchange_declare("celeryev", "topic", durable=True, auto_delete=False)
    channel.exchange_declare("celery.pidbox", "fanout", durable=False, auto_delete=False)
    channel.exchange_declare("reply.celery.pidbox", "direct", durable=False, auto_delete=False)
    for queue, exchange, key in (
        ("see-events", "celeryev", "#"),
        ("see-requests", "celery.pidbox", ""),
        ("see-replies", "reply.celery.pidbox", "caller"),
    ):
        channel.queue_declare(queue, auto_delete=False)
        channel.queue_bind(queue, exchange, key)
    channel.queue_declare("see-results", auto_delete=False)
    with worker(folder, url, "rpc://"):
        while "worker-heartbeat" not in (message := _get_soon(channel, "see-events", pause)).body:
            pass
        yield amqp_vector("amqp-event-worker-heartbeat", "event", message)
        for task, name in ((add.s(2, 3), "success"), (fail.s(), "failure")):
            task.apply_async(reply_to="see-results", queue="celery")
            message = _get_soon(channel, "see-results", pause)
            yield amqp_vector(f"amqp-result-{name}", "result", message)
        yield from _amqp_replies(channel, pause)
    seen: set[str] = set()
    while (message := _get(channel, "see-events")) is not None:
        body = json.loads(message.body)
        for event in body if isinstance(body, list) else [body]:
            if event["type"] not in seen and event["type"] != "worker-heartbeat":
                seen.add(event["type"])
                vector = amqp_vector(f"amqp-event-{event['type']}", "event", message)
                yield {**vector, "type": event["type"]}


def _amqp_replies(channel: amqp.Channel, pause: threading.Event) -> Iterator[Vector]:
    while _get(channel, "see-requests") is not None:
        pass
    for name in ("ping", "ping-to", "registered", "unknown"):
        method, arguments, options = REQUESTS[name]
        with app.connection_for_write() as connection, connection.channel() as sending:
            # A caller of our own naming, so that its replies come to our queue.
            mailbox = app.control.mailbox
            reply_to = {"reply_ticket": str(uuid.uuid4())}
            saved = type(mailbox).oid
            try:
                type(mailbox).oid = "caller"
                mailbox._publish(
                    method, arguments, channel=sending, timeout=5, **reply_to, **options
                )
            finally:
                type(mailbox).oid = saved
        message = _get_soon(channel, "see-requests", pause)
        yield amqp_vector(f"amqp-request-{name}", "request", message)
        message = _get_soon(channel, "see-replies", pause)
        yield amqp_vector(f"amqp-reply-{name}", "reply", message)
