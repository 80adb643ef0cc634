"""Runs cases, prints what each came to, and keeps what a broken one left."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
import traceback
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Self

from faults.places import Places
from faults.scenario import Beside, Case, Report, Scenario


@dataclass(frozen=True, slots=True)
class Outcome:
    """A case and its report. `took_s` in seconds; nothing of the case is left to be run."""

    case: Case
    report: Report
    took_s: float

    @property
    def lines(self) -> Iterator[str]:
        """What is printed: the case, the equation, the figures, what is broken, how to replay."""
        case, report = self.case, self.report
        yield f"{case.fault_id} {case.engine} {case.broker} {case.depth}: {self.took_s:.1f} s"
        if report.account is not None:
            yield f"  {report.account}"
        if report.figures:
            yield f"  {', '.join(f'{name} {shown(it)}' for name, it in report.figures.items())}"
        yield from (f"  BROKEN {line}" for line in report.broken)
        if report.broken:
            yield f"  kept: {case.folder}"
        yield f"  replay: {case.replay}"


def shown(figure: float | str) -> str:
    """Return a figure as it is printed: whole numbers whole, others with three digits."""
    return f"{figure:.3g}" if isinstance(figure, float) else str(figure)


@dataclass(frozen=True, slots=True)
class Order:
    """What to run: scenarios by engine, brokers, depth and seed."""

    scenarios: Sequence[Scenario]
    engine: str
    brokers: Sequence[str]
    depth: str
    seed: int

    def pairs(self) -> Iterator[tuple[Scenario, str]]:
        """Yield each scenario with each broker of its own that was asked for."""
        for scenario in self.scenarios:
            for broker in scenario.brokers:
                if broker in self.brokers and scenario.takes(self.engine, broker):
                    yield scenario, broker


def run_all(order: Order) -> Iterator[Outcome]:
    """Run the order on servers its cases share: one case after the other, but beside each other
    the brokers of a scenario that waits most of the time.
    """
    with tempfile.TemporaryDirectory(prefix="tq-faults-") as folder, Grounds(Path(folder)) as all_:
        for scenario, pairs in groupby(order.pairs(), key=lambda pair: pair[0]):
            cases = [new_case(scenario, broker, order, all_.of(broker)) for _, broker in pairs]
            if scenario.beside is Beside.ITS_BROKERS and len(cases) > 1:
                with ThreadPoolExecutor(len(cases)) as threads:
                    yield from threads.map(partial(run_case, scenario), cases)
            else:
                yield from map(partial(run_case, scenario), cases)


class Grounds:
    """The places of each broker apart: one may be emptied while another is in use."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = contextlib.ExitStack()
        self._by_broker: dict[str, Places] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def of(self, broker: str) -> Places:
        """Return the places of a broker; its servers start when they are needed."""
        if broker not in self._by_broker:
            places = Places(self._folder / broker)
            self._by_broker[broker] = self._stack.enter_context(places)
        return self._by_broker[broker]


def new_case(scenario: Scenario, broker: str, order: Order, places: Places) -> Case:
    """Return a case with a folder of its own."""
    folder = Path(tempfile.mkdtemp(prefix=f"tq-{scenario.fault_id.lower()}-{broker}-"))
    return Case(scenario.fault_id, order.engine, broker, order.depth, order.seed, folder, places)


def run_case(scenario: Scenario, case: Case) -> Outcome:
    """Run one case. Never raises for what the case met: that is a broken promise too."""
    started_mono = time.monotonic()
    try:
        report = scenario.run(case)
    except Exception as error:  # noqa: BLE001 - one broken case must not hide the others
        (case.folder / "error.txt").write_text(traceback.format_exc())
        report = Report(
            broken=[
                f"{type(error).__name__}: {error}",
                *traceback.format_tb(error.__traceback__)[-1:],
            ]
        )
    if not report.broken:
        shutil.rmtree(case.folder, ignore_errors=True)
    return Outcome(case, report, time.monotonic() - started_mono)


def is_whole(outcomes: Iterable[Outcome]) -> bool:
    """Tell whether every promise held."""
    return not any(outcome.report.broken for outcome in outcomes)
