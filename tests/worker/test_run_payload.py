"""The codec between the worker's loop and its children."""

from __future__ import annotations

from datetime import UTC, datetime

from tqconsole.engine.protocol.message import Message
from tqconsole.engine.worker.payload import RunPayload, decode_payload, encode_payload


def test_payload_survives_the_pipe() -> None:
    payload = RunPayload(
        Message(b"[[1], {}, {}]", headers={"id": "a", "retries": 1}, properties={"priority": 3}),
        hostname="w1@host",
        queue="celery",
        exchange="",
        routing_key="celery",
        priority=3,
        redelivered=True,
        soft_limit_s=1.5,
        hard_limit_s=2.0,
        deaths=2,
    )

    assert decode_payload(encode_payload(payload)) == payload


def test_header_of_foreign_type_travels_as_text() -> None:
    at = datetime(2026, 1, 2, tzinfo=UTC)
    payload = RunPayload(Message(b"", headers={"x-death": [{"time": at, 1: (2,)}]}), "w1@host")

    headers = decode_payload(encode_payload(payload)).message.headers

    assert headers == {"x-death": [{"time": str(at), 1: [2]}]}


def test_bottomless_header_does_not_raise() -> None:
    deep: list[object] = []
    for _ in range(5000):
        deep = [deep]

    assert encode_payload(RunPayload(Message(b"", headers={"deep": deep}), "w1@host"))
