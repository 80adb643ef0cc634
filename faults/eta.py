"""T-ETA: many calls for later wait in the broker, not in a worker, and begin in time; one of the
two workers is killed while they wait.
"""

from __future__ import annotations

import os
import signal
import time

from faults.figures import beyond, quantile
from faults.process import own_bytes
from faults.scenario import Case, Report, Scenario
from faults.site import Site

_TASK_COUNTS = {"ci": 1000, "night": 8_000, "release": 100_000}
#: The first are due so long after they were sent, in seconds, the last so much later.
_FIRST_S, _SPAN_S = {"ci": 4, "night": 20, "release": 120}, {"ci": 3, "night": 20, "release": 300}
#: Goals: seconds after its time (p99; a commit's tests share the machine), bytes of a worker for
#: each that waits beside what it takes anyway, seconds of a stop.
_LATE_S, _STOP_S = {"ci": 2.0, "night": 1.0, "release": 1.0}, 2.0
_HELD_BYTES, _ANYWAY_BYTES = 50.0, 2 * 2**20
#: A worker that is idle gives memory back within so many seconds.
_GIVEN_BACK_S = 8.0
#: RabbitMQ has no step that parks a message and settles it: what a killed worker was about to park
#: may be there twice, at most so many.
_PARKED_TWICE = {"rabbitmq": 300}
#: They are due in so many lots.
_LOT_COUNT = 10
#: Clocks of a client and a worker on one machine are told to so many seconds.
_CLOCK_S = 0.01
_PATIENCE_S = 60.0


def _run(case: Case) -> Report:
    task_count, span_s, first_s = case.of(_TASK_COUNTS), case.of(_SPAN_S), case.of(_FIRST_S)
    dues: dict[str, float] = {}
    with Site(case, case.places.empty(case.broker)) as site:
        with site.worker("-c", "2", name="first@localhost") as first:
            site.wait_for_one()
            before_bytes = own_bytes(first.pid)
            for lot in range(_LOT_COUNT):
                countdown = first_s + span_s * lot / _LOT_COUNT
                asked_mono = time.monotonic()
                for task_id in site.publish(task_count // _LOT_COUNT, countdown=countdown):
                    dues[task_id] = asked_mono + countdown
            with site.worker("-c", "2", name="killed@localhost") as killed:
                time.sleep(2.0)
                os.killpg(killed.pid, signal.SIGKILL)
            most_bytes = _HELD_BYTES * len(dues) + _ANYWAY_BYTES
            held_bytes = _settled_bytes(first.pid, before_bytes + most_bytes) - before_bytes
            with site.worker("-c", "2", name="second@localhost"):
                site.await_ends(len(dues) + 1, first_s + _PATIENCE_S)
                stopped_mono = time.monotonic()
                first.send_signal(signal.SIGTERM)
                first.wait(_PATIENCE_S)
                stop_s = time.monotonic() - stopped_mono
            site.await_results(list(dues)[-1:], _PATIENCE_S)
        account = site.settle()
    starts = site.reading.starts
    late_s = [starts[it][0].at_mono - due_mono for it, due_mono in dues.items() if it in starts]
    pids = {starts[it][0].pid for it in dues if it in starts}
    figures: dict[str, float | str] = {
        "bytes of a worker for each that waits": held_bytes / len(dues),
        "late p50 s": quantile(late_s, 0.5),
        "late p99 s": quantile(late_s, 0.99),
        "earliest s": min(late_s),
        "processes that shared": len(pids),
        "stop s": stop_s,
    }
    broken = account.not_zero("duplicated")
    broken += beyond(
        {
            "duplicated": (account.duplicated, _PARKED_TWICE.get(case.broker, 0)),
            "bytes of a worker for each that waits": (
                held_bytes / len(dues),
                most_bytes / len(dues),
            ),
            "late p99 s": (quantile(late_s, 0.99), case.of(_LATE_S)),
            "seconds before its time": (-min(late_s), _CLOCK_S),
            "stop s": (stop_s, _STOP_S),
        }
    )
    return Report(account, figures, broken)


def _settled_bytes(pid: int, goal_bytes: float) -> float:
    """Return what a worker holds when it has come down to the goal, or has had its time."""
    until_mono = time.monotonic() + _GIVEN_BACK_S
    while (now_bytes := own_bytes(pid)) > goal_bytes and time.monotonic() < until_mono:
        time.sleep(0.2)
    return now_bytes


ETA = Scenario(
    "T-ETA",
    "calls for later wait in the broker; one of the workers is killed meanwhile",
    goal="begun at their time and at most 1 s later (p99), none before; below 50 bytes of a worker"
    " each; a stop takes 2 s; nothing lost, nothing twice (on RabbitMQ what the killed one was"
    " about to park)",
    fails_when="the worker does not park what is not due",
    run=_run,
)
