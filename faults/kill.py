"""T-KILL and T-KILL-E: SIGKILL the whole worker group again and again, then count.

    python -m faults.kill --acks late --tasks 5000 --kills 10 --broker redis

A kill comes when so many tasks have ended, so that every kill meets work; what follows is restarted
at once. Exit code 0 when the guarantee held: with late ack nothing is lost, stuck or without a
result; with early ack nothing is lost without a report, and not more than was handed over.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from faults.ledger import VARIABLE, Account, Ledger, settle_account
from faults.places import BROKERS, Place, opened
from faults.storm_app import app, work
from tqconsole.engine.protocol.result import decode_record
from tqconsole.engine.worker.window import MAX_BATCH

#: Tasks per publish, and children per worker.
BATCH_COUNT, CHILD_COUNT = 500, 2
#: The storm is over when nothing has moved for so long, in seconds.
QUIET_S = 20.0
#: What may be handed over at once: as many tasks as start within a millisecond (design §3).
HANDED_OVER_COUNT = MAX_BATCH * CHILD_COUNT


@dataclass(frozen=True, slots=True)
class Storm:
    """What to do."""

    acks: str
    task_count: int
    kill_count: int
    task_s: float
    seed: int
    folder: Path
    place: Place
    engine: str = "tqconsole"


def run_storm(storm: Storm) -> Account:
    """Publish, kill, drain, count."""
    ledger = Ledger(storm.folder / "ledger.txt")
    app.conf.update(broker_url=storm.place.broker_url, result_backend=storm.place.backend_url)
    published_ids = _publish(storm)
    rng = random.Random(storm.seed)
    for kill in range(storm.kill_count):
        with _worker(storm) as process:
            share = (kill + rng.uniform(0.2, 0.8)) / (storm.kill_count + 1)
            _await_progress(ledger, int(share * storm.task_count))
            os.killpg(process.pid, signal.SIGKILL)
    with _worker(storm):
        _drain(ledger, published_ids)
    stuck_count = storm.place.left_count()
    states = _states(sorted(published_ids))
    dead_count = len(app.broker.dead_letters())
    return settle_account(ledger, published_ids, states, stuck_count, dead_count)


def broken_promises(account: Account, storm: Storm) -> list[str]:
    """Return what does not hold, in words; empty is good."""
    rules = {
        "lost": account.lost,
        "stuck": account.stuck,
        "unexpected": account.unexpected,
        "without result": account.without_result,
        "dead-lettered": account.dead_lettered,
    }
    if storm.acks == "late":
        rules["reported"] = account.reported
    broken = [f"{name}: {count}, must be 0" for name, count in rules.items() if count]
    bound = storm.kill_count * HANDED_OVER_COUNT
    touched = account.reported if storm.acks == "early" else account.duplicated
    if touched > bound:
        broken.append(f"{touched} tasks touched by kills, at most {bound} were handed over")
    return broken


def _publish(storm: Storm) -> set[str]:
    published_ids: set[str] = set()
    for start in range(0, storm.task_count, BATCH_COUNT):
        count = min(BATCH_COUNT, storm.task_count - start)
        results = app.send_many([(work, (storm.task_s,), {}, {}) for _ in range(count)])
        published_ids.update(result.id for result in results)
    return published_ids


@contextmanager
def _worker(storm: Storm) -> Iterator[subprocess.Popen[bytes]]:
    environment = {
        **os.environ,
        VARIABLE: str(storm.folder / "ledger.txt"),
        "STORM_ACKS": storm.acks,
        "STORM_BROKER": storm.place.broker_url,
        "STORM_BACKEND": storm.place.backend_url,
    }
    command = [*_program(storm), "worker", "-n", "storm@localhost", "-c", str(CHILD_COUNT)]
    command += ["-l", "WARNING"]
    with (storm.folder / "worker.log").open("ab") as log:
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _program(storm: Storm) -> list[str]:
    if storm.engine == "celery":
        return [sys.executable, "-m", "celery", "-A", "faults.celery_app"]
    place = storm.place
    program = [sys.executable, "-m", "tqconsole", "-A", "faults.storm_app"]
    return [*program, "-b", place.broker_url, "--result-backend", place.backend_url]


def _await_progress(ledger: Ledger, ended_count: int) -> None:
    until = time.monotonic() + QUIET_S
    while ledger.ended_count() < ended_count:
        if time.monotonic() > until:
            raise SystemExit(f"no progress: {ledger.ended_count()} of {ended_count} ended")
        time.sleep(0.01)


def _drain(ledger: Ledger, published_ids: set[str]) -> None:
    """Return when every id has a result, or nothing has moved for QUIET_S."""
    moved_at, seen = time.monotonic(), -1
    while time.monotonic() - moved_at < QUIET_S:
        ready = len(_states(sorted(published_ids)))
        if ready == len(published_ids):
            return
        progress = ready + ledger.ended_count()
        if progress != seen:
            moved_at, seen = time.monotonic(), progress
        time.sleep(0.1)


def _states(ids: Sequence[str]) -> dict[str, str]:
    states: dict[str, str] = {}
    for start in range(0, len(ids), BATCH_COUNT):
        records = app.backend.fetch(ids[start : start + BATCH_COUNT])
        states.update((task_id, decode_record(data).state) for task_id, data in records.items())
    return states


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m faults.kill", description=__doc__)
    parser.add_argument("--broker", choices=BROKERS, default="sqlite")
    parser.add_argument("--engine", choices=("tqconsole", "celery"), default="tqconsole")
    parser.add_argument("--acks", choices=("late", "early"), default="late")
    parser.add_argument("--tasks", type=int, default=5000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--task-ms", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    options = parser.parse_args(arguments)
    if (options.engine, options.broker) == ("celery", "sqlite"):
        parser.error("--engine celery: the embedded broker is ours; use redis or rabbitmq")
    folder = Path(tempfile.mkdtemp(prefix="tq-storm-"))
    name = f"T-KILL{'-E' if options.acks == 'early' else ''}"
    print(f"{name} {options.engine} {options.broker} seed {options.seed}", flush=True)
    with opened(options.broker, folder) as place:
        storm = Storm(
            options.acks,
            options.tasks,
            options.kills,
            options.task_ms / 1000,
            options.seed,
            folder,
            place,
            options.engine,
        )
        account = run_storm(storm)
        app.close()
    print(account)
    broken = broken_promises(account, storm)
    for line in broken:
        print(f"BROKEN {line}; files kept in {folder}")
    return bool(broken)


if __name__ == "__main__":
    sys.exit(main())
