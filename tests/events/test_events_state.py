"""`events.State`: Celery's attributes, whatever the order in which events arrive."""

from __future__ import annotations

import itertools
import json
import tracemalloc
from typing import Any

import pytest

from tqconsole.engine.clock import SYSTEM_CLOCK
from tqconsole.engine.events.state import State

T0 = 1_800_000_000.0


def _event(kind: str, clock: int, **fields: Any) -> dict[str, Any]:
    return {
        "type": kind,
        "hostname": "w1@lab",
        "timestamp": T0 + clock,
        "local_received": T0 + clock,
        "clock": clock,
        "pid": 7,
        "utcoffset": 0,
        **fields,
    }


LIFE = [
    _event("task-sent", 1, uuid="a", name="add", hostname="gen1@lab", queue="celery"),
    _event("task-received", 2, uuid="a", name="add", args="(2, 2)", kwargs="{}", retries=0),
    _event("task-started", 3, uuid="a"),
    _event("task-succeeded", 4, uuid="a", result="4", runtime=0.5),
]


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_any_order_of_arrival_ends_in_the_same_task(order: tuple[int, ...]) -> None:
    state = State()

    for index in order:
        state.event(dict(LIFE[index]))

    task = state.tasks["a"]
    assert (task.state, task.name, task.result, task.runtime) == ("SUCCESS", "add", "4", 0.5)
    assert (task.sent, task.received, task.started, task.succeeded) == (
        T0 + 1,
        T0 + 2,
        T0 + 3,
        T0 + 4,
    )
    assert (task.args, task.client) == ("(2, 2)", "gen1@lab")
    assert task.worker is state.workers["w1@lab"]


def test_a_retry_goes_round_again() -> None:
    state = State()
    for event in LIFE[:3]:
        state.event(dict(event))

    state.event(_event("task-retried", 5, uuid="a", exception="KeyError()"))
    assert state.tasks["a"].state == "RETRY"
    state.event(_event("task-received", 6, uuid="a", name="add", retries=1))

    assert (state.tasks["a"].state, state.tasks["a"].retries) == ("RECEIVED", 1)


def test_a_custom_state_has_its_name() -> None:
    state = State()

    state.event(_event("task-progress", 1, uuid="a", done=3))

    assert state.tasks["a"].state == "PROGRESS"
    assert state.tasks["a"].done == 3


def test_a_worker_lives_by_its_heartbeats() -> None:
    state = State()
    now_at = SYSTEM_CLOCK.now()
    beat = _event("worker-heartbeat", 1, freq=2.0, active=1, processed=9, loadavg=[0.1, 0.2, 0.3])

    state.event(beat | {"timestamp": now_at, "local_received": now_at})

    worker = state.workers["w1@lab"]
    assert (worker.alive, worker.status_string) == (True, "ONLINE")
    assert worker.heartbeat_expires == now_at + 4.0
    assert (worker.active, worker.processed, worker.id) == (1, 9, "w1@lab.7")
    assert list(state.alive_workers()) == [worker]


def test_a_worker_that_left_is_offline() -> None:
    joined: list[str] = []
    left: list[str] = []
    state = State(
        on_node_join=lambda worker: joined.append(worker.hostname),
        on_node_leave=lambda worker: left.append(worker.hostname),
    )

    state.event(_event("worker-online", 1))
    state.event(_event("worker-offline", 2))

    assert (joined, left) == (["w1@lab"], ["w1@lab"])
    assert "w1@lab" not in state.workers


def test_an_old_heartbeat_is_no_life() -> None:
    state = State()

    state.event(_event("worker-heartbeat", 1, timestamp=1.0, local_received=1.0))

    assert state.workers["w1@lab"].status_string == "OFFLINE"


def test_only_the_last_heartbeats_are_kept() -> None:
    state = State()

    for clock in (3, 1, 2, 6, 5, 4):
        state.event(_event("worker-heartbeat", clock))

    assert state.workers["w1@lab"].heartbeats == [T0 + 3, T0 + 4, T0 + 5, T0 + 6]


def test_tasks_come_by_time_type_and_worker() -> None:
    state = State()
    for clock, (uuid, name) in enumerate([("a", "add"), ("b", "mul"), ("c", "add")], 1):
        state.event(_event("task-received", clock, uuid=uuid, name=name))
    state.event(_event("task-started", 9, uuid="a"))

    assert [uuid for uuid, _ in state.tasks_by_time()] == ["a", "c", "b"]
    assert [uuid for uuid, _ in state.tasks_by_time(limit=1)] == ["a"]
    assert [uuid for uuid, _ in state.tasks_by_time(reverse=False)] == ["a", "b", "c"]
    assert [uuid for uuid, _ in state.tasks_by_type("add")] == ["a", "c"]
    assert {task.uuid for task in state.tasks_by_type["mul"]} == {"b"}
    assert [uuid for uuid, _ in state.tasks_by_worker("w1@lab", limit=2)] == ["a", "c"]
    assert state.task_types() == ["add", "mul"]
    assert (state.event_count, state.task_count) == (4, 3)


def test_families_are_joined_in_any_order() -> None:
    state = State()

    state.event(_event("task-received", 2, uuid="child", name="x", parent_id="p", root_id="p"))
    state.event(_event("task-received", 1, uuid="p", name="y"))

    parent, child = state.tasks["p"], state.tasks["child"]
    assert list(parent.children) == [child]
    assert (child.parent, child.root) == (parent, parent)
    assert child.as_dict()["parent"] == "p"
    assert parent.as_dict()["children"] == ["child"]


def test_the_oldest_tasks_are_forgotten() -> None:
    state = State(max_tasks_in_memory=2)

    for clock in range(1, 30):
        state.event(_event("task-received", clock, uuid=str(clock), name="x"))

    assert list(state.tasks) == ["28", "29"]
    assert len(state._order) <= 8


def test_clearing_keeps_what_has_not_ended() -> None:
    state = State()
    for event in LIFE:
        state.event(dict(event))
    state.event(_event("task-received", 9, uuid="b", name="x"))

    state.clear()

    assert list(state.tasks) == ["b"]
    assert (state.event_count, len(state.workers)) == (0, 0)
    state.clear(ready=False)
    assert len(state.tasks) == 0


def test_a_frozen_picture_holds_still() -> None:
    state = State()
    state.event(dict(LIFE[1]))

    count = state.freeze_while(lambda: len(state.tasks), clear_after=True)

    assert count == 1
    assert state.event_count == 0


def test_a_callback_sees_every_event() -> None:
    seen: list[Any] = []
    state = State(callback=lambda _, event: seen.append(event["type"]))
    state.handlers["mine"] = lambda subject, event: subject

    assert state.event(_event("mine-thing", 1)) == ("thing", "thing")
    assert state.event({"type": "task-x"}) is None
    assert seen == ["mine-thing", "task-x"]


def test_info_leaves_out_what_is_not_known() -> None:
    state = State()
    for event in LIFE:
        state.event(dict(event))

    assert state.tasks["a"].info(extra=["name"]) == {
        "args": "(2, 2)",
        "kwargs": "{}",
        "retries": 0,
        "result": "4",
        "runtime": 0.5,
        "name": "add",
    }


def test_an_event_cannot_overwrite_what_is_computed() -> None:
    state = State()

    state.event(_event("task-received", 1, uuid="a", name="x", ready="yes", children=3, worker="w"))
    state.event(_event("worker-online", 2, alive="yes", heartbeats="none"))

    assert state.tasks["a"].ready is False
    assert state.tasks["a"].worker is state.workers["w1@lab"]
    assert isinstance(state.workers["w1@lab"].heartbeats, list)


def test_what_is_no_number_or_too_large_ends_no_order() -> None:
    state = State()

    for clock, stamp in [("x", None), (2**70, float("inf")), (float("nan"), 1.0), (-(2**70), "y")]:
        event = {"type": "task-received", "uuid": str(clock), "name": "x"}
        state.event({**event, "hostname": "w1@lab", "clock": clock, "timestamp": stamp})

    assert next(state.tasks_by_time())[0] == str(2**70)
    assert len(list(state.tasks_by_time(reverse=False))) == 4


def test_a_task_takes_whatever_field_an_event_has() -> None:
    state = State()

    state.event(_event("task-received", 1, uuid="a", colour="red", __class__="x", _children="y"))

    task = state.tasks["a"]
    assert task.colour == "red"
    assert isinstance(task, state.Task)
    assert (task.name, task.runtime, task.state, list(task.children)) == (
        None,
        None,
        "RECEIVED",
        [],
    )
    assert not hasattr(task, "size")


def test_a_task_weighs_less_than_a_kilobyte() -> None:
    state = State(max_tasks_in_memory=2000)
    tracemalloc.start()
    try:
        for number in range(2000):
            own = {"uuid": f"{number:036d}", "name": "x", "args": f"({number},)", "kwargs": "{}"}
            for clock, kind in enumerate(("received", "started", "succeeded"), 3 * number):
                # As they come from the wire: no text is the same object twice.
                state.event(json.loads(json.dumps(_event(f"task-{kind}", clock, **own))))
        kept_bytes = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()

    assert kept_bytes / 2000 < 1000
