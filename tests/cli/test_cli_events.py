"""`tqconsole events --filter`: the filter language over a stream of events."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from stub_cluster import Done

from tqconsole.cli.event_dump import DUMP_CONTEXT, Sieve
from tqconsole.core.errors import FilterError
from tqconsole.core.event_filter import compile_event_filter
from tqconsole.engine.clock import SYSTEM_CLOCK

Run = Callable[..., Done]
AT = SYSTEM_CLOCK.now()


def life(task_id: str, name: str, end: str = "succeeded", **ending: object) -> list[dict]:
    origin = {"uuid": task_id, "hostname": "w1@h"}
    return [
        {"type": "task-received", "timestamp": AT, "name": name, "args": "(1,)", **origin},
        {"type": "task-started", "timestamp": AT + 1, **origin},
        {"type": f"task-{end}", "timestamp": AT + 4, **origin, **ending},
    ]


EVENTS = [
    *life("a", "img.resize", "failed", exception="OSError('no')"),
    *life("b", "mail.send", runtime=0.1),
    *life("c", "img.resize", runtime=3.0),
    {"type": "worker-heartbeat", "timestamp": AT, "hostname": "w1@h"},
]


def through(expression: str) -> list[str]:
    sieve = Sieve(compile_event_filter(expression, DUMP_CONTEXT))
    passed = [event for event in EVENTS if sieve.lets_through(event)]
    return [f"{event.get('uuid', '-')} {event['type'].partition('-')[2]}" for event in passed]


@pytest.mark.parametrize(
    ("expression", "passed"),
    [
        ("type:worker-*", ["- heartbeat"]),
        ("type:task-failed", ["a failed"]),
        # Later events name their task by its id only.
        ("name:img type:task-started", ["a started", "c started"]),
        ("state:FAILURE", ["a failed"]),
        ("runtime>2s name:img state:SUCCESS", ["c succeeded"]),
        ("is:running", ["a started", "b started", "c started"]),
        ("exc:OSError OR name:mail type:task-succeeded", ["a failed", "b succeeded"]),
        ("NOT type:task-* ", ["- heartbeat"]),
        ("args:1 state:RECEIVED", ["a received", "b received", "c received"]),
    ],
)
def test_a_filter_asks_the_event_and_its_task(expression: str, passed: list[str]) -> None:
    assert through(expression) == passed


def test_an_unknown_field_is_refused_with_its_place() -> None:
    with pytest.raises(FilterError, match="did you mean type") as refused:
        compile_event_filter("name:x tipe:y")

    assert refused.value.column == 7


def test_a_wrong_filter_is_a_usage_error(run: Run) -> None:
    done = run("events", "--json", "--filter", "tipe:x")

    assert done.code == 2
    assert "tipe" in done.err


def test_a_camera_takes_no_filter(run: Run) -> None:
    assert run("events", "--camera", "x:Y", "--filter", "type:task-*").code == 2
