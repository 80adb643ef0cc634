"""What an earlier worker had acknowledged and begun, as the result store remembers it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tqconsole.engine.app import App
from tqconsole.engine.backends.memory import MemoryBackend
from tqconsole.engine.exceptions import OperationalError
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.result import ResultRecord, encode_record
from tqconsole.engine.protocol.transfer import Delivery, ResultWrite
from tqconsole.engine.worker.handed import HandedNotes


@pytest.fixture
def store() -> MemoryBackend:
    return MemoryBackend("cache+memory://", {})


def notes_of(store: Any, hostname: str = "w1@here") -> HandedNotes:
    return HandedNotes(store, hostname, App(set_as_current=False))


def delivery(task_id: str, **headers: Any) -> Delivery:
    message = Message(b"[[], {}, {}]", headers={"id": task_id, "task": "t", **headers})
    return Delivery(f"tag-{task_id}", message, "celery", "", "celery")


def end(store: MemoryBackend, task_id: str, state: str) -> None:
    store.store([ResultWrite(task_id, state, encode_record(ResultRecord(task_id, state)))])


def test_what_has_no_end_is_lost(store: MemoryBackend) -> None:
    notes_of(store).write([(it, delivery(it)) for it in ("open", "begun", "done", "failed")])
    end(store, "begun", "STARTED")
    end(store, "done", "SUCCESS")
    end(store, "failed", "FAILURE")

    lost = notes_of(store).lost()

    assert [it.message.headers["id"] for it in lost] == ["open", "begun"]
    assert lost[0].message.body == b"[[], {}, {}]"
    assert (lost[0].queue, lost[0].routing_key) == ("celery", "celery")


def test_the_last_note_is_the_one_that_counts(store: MemoryBackend) -> None:
    notes = notes_of(store)
    notes.write([("a", delivery("a"))])
    notes.write([("b", delivery("b"))])

    assert [it.message.headers["id"] for it in notes_of(store).lost()] == ["b"]
    assert notes_of(store, "w2@here").lost() == []


def test_headers_of_every_kind_are_kept_as_far_as_they_can_be(store: MemoryBackend) -> None:
    odd = delivery("odd", at=datetime(2026, 1, 1, tzinfo=UTC), what={1, 2}, raw=b"x")

    notes_of(store).write([("odd", odd)])

    assert [it.message.headers["task"] for it in notes_of(store).lost()] == ["t"]


def test_large_body_is_not_written_each_time(store: MemoryBackend) -> None:
    large = Delivery("tag", Message(bytes(2**17), headers={"id": "large", "task": "t"}), "celery")

    notes_of(store).write([("large", large)])

    assert notes_of(store).lost()[0].message.body == b""


def test_store_that_is_away_stops_no_run(caplog: pytest.LogCaptureFixture) -> None:
    class Away(MemoryBackend):
        def put(self, key: str, value: bytes, expires_s: float | None) -> None:
            raise OperationalError("away")

    notes = notes_of(Away("cache+memory://", {}))
    notes.write([("a", delivery("a"))])
    notes.write([("b", delivery("b"))])

    assert [it.getMessage() for it in caplog.records] == ["What is handed over is not noted: away"]


def test_notes_of_somebody_else_s_making_are_no_loss(store: MemoryBackend) -> None:
    store.put("tq.handed.w1@here", b"\xc1 nonsense", None)

    assert notes_of(store).lost() == []
