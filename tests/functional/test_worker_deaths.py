"""What becomes of tasks when a child or a whole worker dies, or a message is poison."""

from __future__ import annotations

import os
import signal

import pytest
from worker_process import Site, eventually

from tqconsole.engine.exceptions import TaskRevokedError, TimeLimitExceeded, WorkerLostError
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.transfer import Publication

pytestmark = pytest.mark.slow


def test_late_ack_task_runs_again_after_its_child_died(site: Site) -> None:
    site.worker(pool="prefork")

    result = site.call("die_once", str(site.ledger))

    assert result.get(timeout=20) == "survived"
    assert site.lines() == ["die_once", "die_once"]


def test_early_ack_task_fails_when_its_child_died(site: Site) -> None:
    site.worker(pool="prefork")

    result = site.call("die_early")

    with pytest.raises(WorkerLostError, match=r"signal 9 \(SIGKILL\)"):
        result.get(timeout=20)
    assert site.call("add", 1, 1).get(timeout=20) == 2


def test_task_that_always_dies_is_a_dead_letter_after_five(site: Site) -> None:
    site.worker(pool="prefork", concurrency=2)

    result = site.call("die", str(site.ledger))

    with pytest.raises(WorkerLostError):
        result.get(timeout=20)
    assert len(site.lines()) == 5
    assert [letter.reason for letter in site.app.broker.dead_letters()] == ["worker-lost"]
    assert site.call("add", 1, 1).get(timeout=20) == 2


def test_late_ack_task_of_a_killed_worker_runs_elsewhere(site: Site) -> None:
    gate = site.folder / "gate"
    first = site.worker(pool="prefork")
    result = site.call("hold_late", str(site.ledger), str(gate))
    assert eventually(site.lines)
    site.worker(pool="prefork", hostname="w2@test")

    first.kill_group()
    gate.touch()

    assert result.get(timeout=25) == "released"
    assert len(site.lines()) == 2


def test_early_ack_task_of_a_killed_worker_is_reported(site: Site) -> None:
    first = site.worker(pool="solo")
    result = site.call("hold", str(site.ledger), str(site.folder / "gate"))
    assert eventually(site.lines)
    first.kill_group()

    site.worker(pool="solo", hostname="w2@test")

    with pytest.raises(WorkerLostError):
        result.get(timeout=25)
    assert site.lines() == ["hold"]


def test_reserved_tasks_of_a_killed_worker_are_not_counted_as_deaths(site: Site) -> None:
    first = site.worker(pool="solo")
    site.call("hold", str(site.ledger), str(site.folder / "gate"))
    waiting = [site.call("add", n, 1) for n in range(3)]
    assert eventually(site.lines)
    first.kill_group()

    site.worker(pool="solo", hostname="w2@test")

    assert [result.get(timeout=25) for result in waiting] == [1, 2, 3]


def test_poison_goes_to_the_dead_letters_and_the_next_task_runs(site: Site) -> None:
    site.worker(pool="prefork")
    good = {"lang": "py", "task": "add", "id": "poison"}
    poison = [
        Message(b"\xff\xfe", "application/json"),
        Message(b"[[1]]", "application/json", headers=good),
        Message(b"null", "application/json", headers=good),
        Message(b"[" * 5000, "application/json", headers=good),
        Message(b"[[1],{},{}]", "application/x-python-serialize", headers=good),
        Message(b"[[1],{},{}]", headers={**good, "task": ["a", "list"]}),
        Message(b"[[1],{},{}]", headers={**good, "id": None}),
        Message(b"[[1],{},{}]", headers={**good, "timelimit": 5}),
        Message(b"[[1],{},{}]", headers={**good, "eta": "next year"}),
        Message(b"[[1],{},{}]", headers={**good, "stamped_headers": 7}),
        Message(b"[[1],{},{}]", "nonsense", "no-such-encoding", headers=good),
    ]
    site.app.broker.publish([Publication(message, "celery") for message in poison])

    assert site.call("add", 1, 1).get(timeout=20) == 2
    letters = eventually(
        lambda: (found := site.app.broker.dead_letters()) and len(found) == len(poison) and found
    )
    assert letters
    assert all(letter.reason for letter in letters)


def test_hard_limit_kills_and_the_slot_lives_on(site: Site) -> None:
    site.worker(pool="prefork")

    result = site.call("hold", str(site.ledger), "/nonexistent/gate", time_limit=1)

    with pytest.raises(TimeLimitExceeded):
        result.get(timeout=20)
    assert site.call("add", 1, 1).get(timeout=20) == 2


def test_terminate_kills_a_running_task(site: Site) -> None:
    site.worker(pool="prefork")
    result = site.call("hold", str(site.ledger), "/nonexistent/gate")
    assert eventually(site.lines)

    answer = site.ask("terminate", signal="KILL", task_id=[result.id])

    assert answer == {"ok": f"terminate: {result.id}"}
    with pytest.raises(TaskRevokedError, match="terminated"):
        result.get(timeout=20)


def test_killed_child_is_replaced(site: Site) -> None:
    site.worker(pool="prefork", concurrency=2)
    pids = site.ask("stats")["pool"]["processes"]

    os.kill(pids[0], signal.SIGKILL)

    def replaced() -> bool:
        now = site.ask("stats")["pool"]["processes"]
        return len(now) == 2 and pids[0] not in now

    assert eventually(replaced)
