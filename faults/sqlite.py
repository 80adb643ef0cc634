"""T-SQLITE: the embedded store under kills, full disks at every write, cut journals and crowds.

(a) processes are killed in the middle of their writes; (b) the file may not grow past a byte that
moves on by half a page, so that each write of each path fails once, torn; (c) the file and its
journal, copied after every step and cut anywhere, are opened again; (d) many processes write at
once and must never see a lock.
"""

from __future__ import annotations

import contextlib
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from faults.scenario import Beside, Case, Report, Scenario
from faults.sqlite_hands import KEPT_DIGIT
from tqconsole.engine.brokers import open_broker
from tqconsole.engine.brokers.base import Broker, Consumer
from tqconsole.engine.exceptions import EngineError
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.transfer import (
    Handover,
    Publication,
    QueueSpec,
    ResultWrite,
    Riding,
    Settlement,
    Verdict,
)

#: Half a frame of the journal (a page and its head): every second fault tears a page.
_HALF_FRAME_BYTES = (4096 + 24) // 2
#: Faults of one path at most; each path writes a few dozen pages.
_MOST_FAULTS = 200


@dataclass(frozen=True, slots=True)
class Volume:
    """How much of each."""

    kill_count: int
    copy_count: int
    process_count: int
    crowd_s: float


VOLUMES = {
    "ci": Volume(10, 60, 6, 4.0),
    "night": Volume(60, 300, 16, 20.0),
    "release": Volume(500, 5_000, 16, 60.0),
}


@dataclass(slots=True)
class Findings:
    """What was counted, and what did not hold."""

    figures: dict[str, float | str] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)

    def count(self, what: str, by: int = 1) -> None:
        """Add to a figure."""
        self.figures[what] = int(self.figures.get(what, 0)) + by


def run(case: Case) -> Report:
    """All four parts, each in a folder of its own."""
    findings, volume = Findings(), case.of(VOLUMES)
    _kill(_new(case.folder, "kill"), volume, case.chance(), findings)
    _fill(_new(case.folder, "full"), findings)
    _cut(_new(case.folder, "cut"), volume, case.chance(), findings)
    _crowd(_new(case.folder, "crowd"), volume, findings)
    return Report(figures=findings.figures, broken=findings.broken)


def _new(folder: Path, name: str) -> Path:
    (folder / name).mkdir()
    return folder / name / "queue.db"


# --- (a) --------------------------------------------------------------------------------------


def _kill(path: Path, volume: Volume, chance: Random, findings: Findings) -> None:
    confirmed: list[str] = []
    for number in range(volume.kill_count):
        hands = [_hands(path, f"{number}.{which}", 30.0) for which in range(2)]
        confirmed += [each.stdout.readline().strip() for each in hands if each.stdout is not None]
        time.sleep(chance.uniform(0.0, 0.15))
        for each in hands:
            each.kill()
            out, error = each.communicate()
            # A line that was torn by the kill was not heard.
            confirmed += out.splitlines()[: out.count("\n")]
            if error.strip():
                findings.broken.append(f"killed process said: {error.strip()[-200:]}")
        findings.count("kills", 2)
        _expect_sound(path, findings, "after a kill")
    kept = {task_id for task_id in confirmed if task_id.endswith(KEPT_DIGIT)}
    lost = kept - _ids(path)
    findings.count("confirmed", len(confirmed))
    if lost:
        findings.broken.append(f"{len(lost)} confirmed publishes are lost: {sorted(lost)[:3]}")


def _hands(path: Path, name: str, seconds_s: float) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "faults.sqlite_hands", _url(path), name, str(seconds_s)],
        cwd=Path(__file__).parent.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


# --- (b) --------------------------------------------------------------------------------------


def _fill(path: Path, findings: Findings) -> None:
    """Let each write path fail at each of its writes, and come through at last."""
    with open_broker(_url(path)) as broker:
        consumer = broker.consumer([QueueSpec("celery")], "w1@here")
        published = 0
        for name, prepare, step in _paths(broker, consumer):
            for fault in range(_MOST_FAULTS):
                argument = prepare()
                if name == "publish":
                    published += 1
                is_through = False
                with (
                    _no_room_past(path, fault * _HALF_FRAME_BYTES),
                    contextlib.suppress(EngineError),
                ):
                    step(argument)
                    is_through = True
                if is_through:
                    break
                findings.count("faults")
                _expect_sound(path, findings, f"after fault {fault} of {name}")
                step(argument)
            else:
                findings.broken.append(f"{name} does not come through")
            findings.count("write paths")
        left = broker.depth("publish").ready_count
        if left != published:
            findings.broken.append(f"{left} of {published} publishes are there")
        consumer.close()


@contextlib.contextmanager
def _no_room_past(path: Path, more_bytes: int) -> Iterator[None]:
    """Let no file of this process grow past the journal's present size and so many bytes."""
    journal = Path(f"{path}-wal")
    size = journal.stat().st_size if journal.exists() else 0
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    old_handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (max(1, size + more_bytes), old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, old_handler)


Prepare = Callable[[], Sequence[str]]
Step = Callable[[Sequence[str]], object]


def _paths(broker: Broker, consumer: Consumer) -> Iterator[tuple[str, Prepare, Step]]:
    """Yield every write path: its name, what it needs, and the step itself."""

    def nothing() -> Sequence[str]:
        return ()

    def in_hand() -> Sequence[str]:
        broker.publish([_task("celery") for _ in range(4)])
        return [it.tag for it in consumer.exchange(wanted=4)]

    def letter() -> Sequence[str]:
        tags = in_hand()
        consumer.exchange([Settlement(tag, Verdict.DEAD, "r") for tag in tags])
        return [it.letter_id for it in broker.dead_letters("celery", 2)]

    def settle(verdict: Verdict) -> Step:
        return lambda tags: consumer.exchange([Settlement(tag, verdict, "r") for tag in tags])

    riding = Riding((ResultWrite("r", "SUCCESS", b"x" * 5_000),), (_task("riding"),))
    yield "publish", nothing, lambda _: broker.publish([_task("publish")])
    yield "declare", nothing, lambda _: broker.declare(QueueSpec(f"q{time.monotonic_ns()}"))
    yield (
        "start",
        in_hand,
        lambda tags: consumer.exchange(started=[Handover(tag, is_acked=True) for tag in tags]),
    )
    for verdict in Verdict:
        yield f"settle as {verdict.value}", in_hand, settle(verdict)
    yield (
        "ride",
        in_hand,
        lambda tags: consumer.exchange(
            [Settlement(tag, Verdict.ACK) for tag in tags], wanted=0, riding=riding
        ),
    )
    yield "park", in_hand, lambda tags: consumer.park([(tag, time.time() + 900) for tag in tags])
    yield "replay", letter, broker.replay
    yield "drop", letter, broker.drop
    yield "renew", nothing, lambda _: consumer.renew()
    yield "purge", in_hand, lambda _: broker.purge("celery")


def _task(queue: str) -> Publication:
    return Publication(Message(b"x" * 6_000, headers={"id": "a", "task": "t"}), queue)


# --- (c) --------------------------------------------------------------------------------------


def _cut(path: Path, volume: Volume, chance: Random, findings: Findings) -> None:
    """Copy the file and its journal after a step, whole and cut, and open each copy."""
    with open_broker(_url(path)) as broker:
        for number in range(volume.copy_count):
            broker.publish([Publication(Message(b"", headers={"id": str(number)}), "celery")])
            copy = path.parent / f"copy{number}.db"
            shutil.copy(path, copy)
            journal = Path(f"{path}-wal").read_bytes()
            is_whole = number % 2 == 0
            end = len(journal) if is_whole else chance.randrange(len(journal) + 1)
            Path(f"{copy}-wal").write_bytes(journal[:end])
            found = _ids(copy)
            expected = [str(it) for it in range(len(found))]
            _expect_sound(copy, findings, f"in copy {number} cut at {end} of {len(journal)}")
            if sorted(found, key=int) != expected or (is_whole and len(found) != number + 1):
                findings.broken.append(f"copy {number} cut at {end} has {len(found)} messages")
            findings.count("copies opened")
            for left in path.parent.glob(f"copy{number}.db*"):
                left.unlink()


# --- (d) --------------------------------------------------------------------------------------


def _crowd(path: Path, volume: Volume, findings: Findings) -> None:
    hands = [_hands(path, str(number), volume.crowd_s) for number in range(volume.process_count)]
    for each in hands:
        out, error = each.communicate(timeout=volume.crowd_s + 60)
        findings.count("published by the crowd", out.count("\n"))
        if each.returncode or error.strip():
            findings.broken.append(f"one of the crowd saw: {error.strip()[-200:]}")
    findings.figures["processes at once"] = volume.process_count
    _expect_sound(path, findings, "after the crowd")


# --- looking ----------------------------------------------------------------------------------


def _url(path: Path) -> str:
    return f"sqlite:///{path.as_posix().lstrip('/')}"


def _expect_sound(path: Path, findings: Findings, when: str) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        said = connection.execute("PRAGMA integrity_check").fetchone()[0]
    findings.count("integrity checks")
    if said != "ok":
        findings.broken.append(f"{when}: {said}")


def _ids(path: Path) -> set[str]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name='message'").fetchone():
            return set()  # the journal was cut before the tables were made
        found = connection.execute("SELECT task_id FROM message").fetchall()
    return {row[0] for row in found}


SQLITE = Scenario(
    "T-SQLITE",
    "the embedded store: kills, a full disk at every write, cut journals, many processes",
    goal="0 confirmed publishes lost, integrity_check ok each time, every fault recovered, no"
    " process ever sees a lock",
    fails_when="a publish is confirmed before its commit",
    run=run,
    brokers=("sqlite",),
    beside=Beside.ANYTHING,
)
