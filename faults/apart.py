"""Runs what holds no times in a process for each broker, all of them at once.

Such a process is the runner itself with other arguments. It writes each outcome into a file as soon
as it is there; who is told to stop stops them.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from faults.account import Account
from faults.places import Places
from faults.runner import Order, Outcome
from faults.scenario import Beside, Case, Report, Scenario

#: Seconds between two looks at what the processes have written, and for one to stop its workers.
_LOOK_S, _STOP_S = 0.5, 30.0
_ROOT = Path(__file__).parent.parent


def parted(order: Order) -> tuple[Order, Sequence[Order]]:
    """Return what runs here, and for each broker what runs apart: nothing where only one has such
    cases, since there would be nothing beside it.
    """
    crowd = [it for it in order.scenarios if it.beside is Beside.ANYTHING]
    lanes = [_narrowed(order, crowd, [broker]) for broker in order.brokers]
    lanes = [lane for lane in lanes if list(lane.pairs())]
    if len(lanes) < 2:
        return order, ()
    return _narrowed(order, [it for it in order.scenarios if it not in crowd], order.brokers), lanes


def _narrowed(order: Order, scenarios: Sequence[Scenario], brokers: Sequence[str]) -> Order:
    return Order(scenarios, order.engine, brokers, order.depth, order.seed)


def run_apart(lanes: Sequence[Order]) -> Iterator[Outcome]:
    """Run each order in a process of its own; the outcomes come as they are there."""
    with tempfile.TemporaryDirectory(prefix="tq-faults-") as folder, contextlib.ExitStack() as all_:
        running = [
            all_.enter_context(Lane(lane, Path(folder) / str(number)))
            for number, lane in enumerate(lanes)
        ]
        while running:
            ended = [lane for lane in running if lane.has_ended()]
            for lane in running:
                yield from lane.outcomes()
            for lane in ended:
                yield from lane.missing()
            running = [lane for lane in running if lane not in ended]
            time.sleep(_LOOK_S if running else 0.0)


class Lane:
    """One process and what it has written. A context manager: leaving it ends the process."""

    def __init__(self, order: Order, folder: Path) -> None:
        self._order = order
        folder.mkdir()
        self._path, self._log = folder / "outcomes.jsonl", folder / "log.txt"
        self._read_bytes = 0
        self._open = [(scenario.fault_id, broker) for scenario, broker in order.pairs()]
        ids = list(dict.fromkeys(fault_id for fault_id, _ in self._open))
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "faults", *ids, "--engine", order.engine),
                    *("--broker", *order.brokers, "--depth", order.depth),
                    *("--seed", str(order.seed), "--json", str(self._path)),
                ],
                cwd=_ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def __enter__(self) -> Lane:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_STOP_S)
        self._process.kill()
        self._process.wait()

    def has_ended(self) -> bool:
        """Tell whether nothing more will be written."""
        return self._process.poll() is not None

    def outcomes(self) -> Iterator[Outcome]:
        """Yield what has been written since the last call."""
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._read_bytes)
            lines = file.read().splitlines(keepends=True)
        for line in lines:
            if not line.endswith(b"\n"):
                return
            self._read_bytes += len(line)
            outcome = read_outcome(json.loads(line), self._order)
            self._open.remove((outcome.case.fault_id, outcome.case.broker))
            yield outcome

    def missing(self) -> Iterator[Outcome]:
        """Yield, as broken, what the process has not come to before it ended."""
        said = self._log.read_text(errors="replace").splitlines()[-1:]
        for fault_id, broker in self._open:
            case = _case(self._order, fault_id, broker, self._path.parent)
            told = f"its process ended with {self._process.returncode}: {' '.join(said)}"
            yield Outcome(case, Report(broken=[told]), 0.0)


def write_outcome(path: Path, outcome: Outcome) -> None:
    """Add an outcome to a file, a JSON text on a line of its own."""
    case, report = outcome.case, outcome.report
    fields = {
        "id": case.fault_id,
        "broker": case.broker,
        "folder": str(case.folder),
        "took_s": outcome.took_s,
        "account": asdict(report.account) if report.account else None,
        "figures": dict(report.figures),
        "broken": list(report.broken),
    }
    with path.open("a") as file:
        file.write(json.dumps(fields) + "\n")


def read_outcome(fields: dict[str, Any], order: Order) -> Outcome:
    """Return the outcome in such a text, of a case of the order's."""
    account = Account(**fields["account"]) if fields["account"] else None
    report = Report(account, fields["figures"], fields["broken"])
    case = _case(order, fields["id"], fields["broker"], Path(fields["folder"]))
    return Outcome(case, report, fields["took_s"])


def _case(order: Order, fault_id: str, broker: str, folder: Path) -> Case:
    return Case(fault_id, order.engine, broker, order.depth, order.seed, folder, Places(folder))
