"""Workflows that are called by Celery's names for them, and chords whose parts are asked for."""

from __future__ import annotations

from typing import Any

import pytest
from canvas_rig import Worker

from tqconsole.engine.exceptions import ChordError


def values(worker: Worker) -> dict[str, Any]:
    """Return task -> what its last run came to, for tasks whose record is there."""
    records = {
        message.headers["task"]: worker.app.AsyncResult(message.headers["id"])
        for message in worker.ran
    }
    return {name: it.result for name, it in records.items() if it.state == "SUCCESS"}


def test_a_chain_by_name_is_sent(worker: Worker, t: Any) -> None:
    steps = [dict(t.add.s(1, 1)), dict(t.double.s())]
    worker.app.send_task("celery.chain", kwargs={"tasks": steps})

    assert values(worker.run_all())["double"] == 4


def test_a_group_by_name_is_sent(worker: Worker, t: Any) -> None:
    parts = [dict(t.add.s(1, 1)), dict(t.double.s(8))]
    worker.app.send_task("celery.group", kwargs={"tasks": parts})

    got = values(worker.run_all())

    assert (got["add"], got["double"]) == (2, 16)


def test_a_chord_by_name_is_sent(worker: Worker, t: Any) -> None:
    header = [dict(t.add.s(1, 1)), dict(t.add.s(2, 2))]
    worker.app.send_task("celery.chord", kwargs={"header": header, "body": dict(t.xsum.s())})

    assert values(worker.run_all())["xsum"] == 6


def unlock(worker: Worker, parts: list[Any], body: Any, **options: Any) -> Any:
    """Send what a client of Celery's sends where its store does not count parts."""
    body = body.clone()
    result = body.freeze()
    worker.app.send_task(
        "celery.chord_unlock",
        ("a-group", dict(body)),
        {"result": [part.as_tuple() for part in parts], "interval": 1, **options},
    )
    return result


def test_the_body_is_called_when_the_parts_have_ended(worker: Worker, t: Any) -> None:
    parts = [t.add.delay(1, 1), t.add.delay(2, 2)]
    result = unlock(worker, parts, t.xsum.s())

    worker.run_all()

    assert result.get(timeout=1) == 6


def test_parts_that_have_not_ended_are_asked_for_again(worker: Worker, t: Any) -> None:
    part = worker.app.AsyncResult("of-another-queue")
    result = unlock(worker, [part], t.xsum.s())

    worker.fetch()
    outcome = worker.run_one(worker.pending.popleft())

    assert outcome.state == "RETRY"
    assert result.state == "PENDING"


def test_a_part_that_failed_fails_the_body(worker: Worker, t: Any) -> None:
    result = unlock(worker, [t.add.delay(1, 1), t.fail.delay()], t.xsum.s())

    worker.run_all()

    assert result.state == "FAILURE"
    with pytest.raises(ChordError, match="Dependency of chord a-group raised ValueError"):
        result.get(timeout=1)
