"""T-LEASE: nobody takes from a worker that lives, however long its task is; a worker that stood
still may see one extra run, and what it says afterwards changes nothing.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time

from faults.figures import beyond
from faults.scenario import Beside, Case, Report, Scenario
from faults.site import Site
from tqconsole.engine.protocol.result import decode_record

#: The lease, in seconds (design §3), and how many of it a task, a wait and a standstill take.
_LEASE_S = 15.0
_LEASES = {"ci": 1.2, "night": 3.0, "release": 3.0}
_COUNTS = {"ci": 2, "night": 8, "release": 16}
_PATIENCE_S = 30.0
_STOPPED_QUEUE = "stopped"
#: A start is no earlier than asked for, and at most so much later, in seconds.
_LATE_S = 1.0


def _run(case: Case) -> Report:
    span_s = _LEASE_S * case.of(_LEASES)
    count = case.of(_COUNTS)
    with Site(case, case.places.empty(case.broker)) as site:
        long_ids = site.publish(count, duration_s=span_s)
        asked_mono = time.monotonic()
        waiting_ids = site.publish(count, duration_s=0.01, countdown=span_s)
        stopped_ids = site.publish(1, duration_s=1.0, queue=_STOPPED_QUEUE)
        with contextlib.ExitStack() as workers:
            for name in ("first@localhost", "second@localhost"):
                options = ("-c", str(count), "-Q", "celery", "--prefetch-multiplier", "1")
                workers.enter_context(site.worker(*options, name=name))
            stopped = workers.enter_context(
                site.worker("-c", "1", "-Q", _STOPPED_QUEUE, name="stopped@localhost")
            )
            site.wait(lambda: stopped_ids[0] in site.reading.starts, _PATIENCE_S)
            os.killpg(stopped.pid, signal.SIGSTOP)
            workers.enter_context(
                site.worker("-c", "1", "-Q", _STOPPED_QUEUE, name="heir@localhost")
            )
            time.sleep(span_s)
            os.killpg(stopped.pid, signal.SIGCONT)
            site.await_ends(2 * count + 1, span_s)
            # What the one that stood still has to say at last.
            site.wait(lambda: not site.reading.running(), _PATIENCE_S)
            site.await_results([*long_ids, *waiting_ids, *stopped_ids], _PATIENCE_S)
        account = site.settle()
        result_pid = _result(site, stopped_ids[0])
    reading = site.reading
    late_s = [reading.starts[it][0].at_mono - asked_mono - span_s for it in waiting_ids]
    extra_count = len(reading.starts[stopped_ids[0]]) - 1
    figures = {
        "task and wait s": span_s,
        "extra runs of who lives": account.duplicated - extra_count,
        "extra runs of who stood still": extra_count,
        "latest start after its time s": max(late_s),
    }
    broken = account.not_zero("duplicated")
    broken += beyond(
        {
            "extra runs of who lives": (account.duplicated - extra_count, 0),
            "extra runs of who stood still": (extra_count, 1),
            "seconds before its time": (-min(late_s), 0.0),
            "seconds after its time": (max(late_s), _LATE_S),
        }
    )
    first_pid = reading.ends[stopped_ids[0]][0].pid
    if result_pid != first_pid:
        broken.append(f"the result is of process {result_pid}; {first_pid} ended first")
    return Report(account, figures, broken)


def _result(site: Site, task_id: str) -> int:
    record = decode_record(site.client.backend.fetch([task_id])[task_id])
    return int(record.result)


LEASE = Scenario(
    "T-LEASE",
    "a task and an ETA of several leases, and a worker that stands still for as long",
    goal="no run beyond the first while the worker lives; at most one after a standstill, whose"
    " late end changes no result",
    fails_when="the heart does not renew the lease",
    run=_run,
    brokers=("redis", "sqlite"),
    beside=Beside.ITS_BROKERS,
)
