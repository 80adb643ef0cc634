"""How each peer's worker is started: its best honest configuration, in words and as a command."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import counting
from benchmarks.peers import base
from benchmarks.values import Place, Worker

_ROOT = str(Path(__file__).parent.parent)
#: Peer -> what its figures are called.
TITLES = {
    "ours": "tqconsole",
    "celery": "celery",
    "dramatiq": "dramatiq",
    "huey": "huey",
    "rq": "rq",
}


@dataclass(frozen=True, slots=True)
class Command:
    """A worker's command line, what it adds to the environment, and the same in words."""

    words: list[str]
    config: str
    environ: dict[str, str] = field(default_factory=dict)


def _pool(worker: Worker) -> list[str]:
    """Return the pool of those that have Celery's."""
    if worker.shape == "one":
        return ["-P", "solo"]
    name = "threads" if worker.shape == "threads" else "prefork"
    return ["-P", name, "-c", str(worker.slot_count)]


def _ours(place: Place, worker: Worker) -> Command:
    pool = _pool(worker)
    name = ["-n", "bench@localhost"]
    words = ["-m", "tqconsole", "-q", "-A", "benchmarks.peers.ours", "worker", *pool]
    # Events are sent when somebody listens: no option for them.
    return Command([*words, *name], f"defaults, {' '.join(pool)}")


def _celery(place: Place, worker: Worker) -> Command:
    pool = _pool(worker)
    events = ["-E"] if worker.has_events else []
    off = ["--without-gossip", "--without-mingle", "--without-heartbeat", "-l", "WARNING"]
    words = ["-m", "celery", "-A", "benchmarks.peers.celery", "worker", *pool, *off, *events]
    return Command(words, f"tuned, {' '.join([*pool, *events])}")


def _dramatiq(place: Place, worker: Worker) -> Command:
    thread_count = 8 if worker.are_results_on else 2
    processes, threads = (2, 4) if worker.shape != "one" else (1, thread_count)
    words = ["-m", "dramatiq", "benchmarks.peers.dramatiq", "-p", str(processes)]
    return Command(
        [*words, "-t", str(threads), "--skip-logging"],
        f"{processes} process(es) x {threads} threads, prefetch 1000",
        {"dramatiq_queue_prefetch": "1000"},
    )


def _huey(place: Place, worker: Worker) -> Command:
    kind, count = ("thread", 1) if worker.shape == "one" else ("process", 2)
    words = ["-m", "huey.bin.huey_consumer", "benchmarks.peers.huey.huey", "-q", "-n"]
    # Its shortest poll, for the broker that has to be polled.
    is_polling = place.broker == "sqlite"
    poll = ["-d", "0.001", "-m", "0.01"] if is_polling else []
    config = f"{count} {kind}{'es' * (count > 1)}, no acks" + ", polls at 1 to 10 ms" * is_polling
    return Command([*words, "-k", kind, "-w", str(count), *poll], config)


def _rq(place: Place, worker: Worker) -> Command:
    if worker.shape == "one":
        words = ["worker", "-w", "rq.SimpleWorker", "--disable-job-desc-logging"]
        return Command(["-m", "rq.cli", *words, "-q", "-u", place.url], "SimpleWorker")
    words = ["worker-pool", "-n", "2", "-w", "rq.SimpleWorker", "-q", "-u", place.url]
    return Command(["-m", "rq.cli", *words], "worker-pool, 2 SimpleWorkers")


COMMANDS: dict[str, Callable[[Place, Worker], Command]] = {
    "ours": _ours,
    "celery": _celery,
    "dramatiq": _dramatiq,
    "huey": _huey,
    "rq": _rq,
}


def worker_command(peer: str, place: Place, worker: Worker) -> Command:
    """Return how this peer's worker is started here."""
    made = COMMANDS[peer](place, worker)
    return Command([sys.executable, *made.words], made.config, made.environ)


def producer_config(peer: str, broker: str) -> str:
    """Return what is to be known of a peer's producer, in words."""
    if broker == "rabbitmq":
        return "every publish confirmed" if peer == "ours" else "publishes not confirmed"
    if broker == "sqlite":
        return "commits synced (synchronous=FULL)"
    return "send_many by 100" if peer == "ours" else "enqueue_many by 500" if peer == "rq" else ""


def environ_of(place: Place, worker: Worker, inherited: Mapping[str, str]) -> dict[str, str]:
    """Return the environment in which a peer's module finds where it is to work."""
    environ = {**inherited}
    if environ.pop("PYTHONDONTWRITEBYTECODE", ""):
        # An installed package has its bytecode: without it every start compiles all its modules.
        environ["PYTHONPYCACHEPREFIX"] = str(place.folder.parent / "bytecode")
    return {
        **environ,
        "PYTHONPATH": os.pathsep.join(filter(None, (_ROOT, inherited.get("PYTHONPATH")))),
        base.BROKER: place.url,
        base.STORE: place.store_url,
        base.RESULTS: "on" if worker.are_results_on else "off",
        base.CONTROL: "on" if worker.is_controlled else "off",
        base.REGISTERED: str(worker.registered_count),
        counting.VARIABLE: str(place.folder / "counts"),
    }
