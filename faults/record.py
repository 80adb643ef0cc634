"""Writes what a case came to into the docs, so that no figure is typed by hand.

The runs are kept as JSON beside the page, one per id, engine, broker and depth; the newest stands.
The tables between the page's markers are made from it.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faults.runner import Order, Outcome, shown
from faults.scenario import DEPTHS, Scenario

_ROOT = Path(__file__).parent.parent
_SUITE = "the whole suite"
#: Folders that only this machine has: of a case, and of what is installed.
_ELSEWHERE = re.compile(
    rf"{re.escape(tempfile.gettempdir())}/(?:[^\s'\":;,]*/)?|/[^\s'\":;,]*/(?=python3|site-packages)"
)
BEGIN, END = "<!-- figures: written by --record -->", "<!-- end of figures -->"


def record(page: Path, outcome: Outcome, scenarios: Mapping[str, Scenario]) -> None:
    """Keep an outcome beside the page, and write the page's tables anew.

    Raises: ValueError for a page without the two markers.
    """
    _keep(page, _key(outcome), _kept(outcome), scenarios)


@dataclass(frozen=True, slots=True)
class Suite:
    """A run of everything at one depth. `commit` as git names what was run."""

    engine: str
    depth: str
    commit: str
    begun_at: float

    @classmethod
    def begin(cls, order: Order) -> Suite:
        """Note what is about to be run."""
        return cls(order.engine, order.depth, _commit(), time.time())

    def ended(self, outcomes: Sequence[Outcome]) -> dict[str, Any]:
        """Return what is kept of it."""
        broken = [it.case for it in outcomes if it.report.broken]
        return {
            "id": _SUITE,
            "engine": self.engine,
            "depth": self.depth,
            "commit": self.commit,
            "took_s": round(time.time() - self.begun_at, 1),
            "at": time.strftime("%Y-%m-%d %H:%M", time.gmtime(self.begun_at)),
            "case_count": len(outcomes),
            "broken": [f"{case.fault_id} on {case.broker}" for case in broken],
        }


def record_suite(page: Path, run: dict[str, Any], scenarios: Mapping[str, Scenario]) -> None:
    """Keep when everything was run at once, and what held; as `record`."""
    _keep(page, f"{_SUITE} {run['engine']} {run['depth']}", run, scenarios)


def _keep(page: Path, key: str, run: dict[str, Any], scenarios: Mapping[str, Scenario]) -> None:
    text = page.read_text()
    if BEGIN not in text or END not in text:
        raise ValueError(f"{page}: no {BEGIN!r} and {END!r} to write the figures between")
    kept_path = page.with_suffix(".json")
    kept = json.loads(kept_path.read_text()) if kept_path.exists() else {}
    kept[key] = run
    kept_path.write_text(json.dumps(dict(sorted(kept.items())), indent=1) + "\n")
    head, tail = text.partition(BEGIN)[0], text.partition(END)[2]
    lines = [*suite_lines(kept), *table_lines(kept, scenarios)]
    page.write_text("\n".join([head + BEGIN, "", *lines, "", END + tail]))


def suite_lines(kept: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield a line for each depth at which everything was run in one piece."""
    for run in sorted((it for it in kept.values() if it["id"] == _SUITE), key=_rank_of_suite):
        held_count = run["case_count"] - len(run["broken"])
        not_held = f"; not held: {', '.join(run['broken'])}" if run["broken"] else ""
        yield (
            f"The whole suite at depth `{run['depth']}` ran on {run['at']} at {run['commit']}"
            f" in {run['took_s'] / 60:.0f} minutes: {held_count} of {run['case_count']} cases"
            f" held{not_held}."
        )
        yield ""


def _rank_of_suite(run: Mapping[str, Any]) -> tuple[int, str]:
    return -DEPTHS.index(run["depth"]), run["engine"]


def _commit() -> str:
    """Return the commit that is run, and whether something was changed since."""
    try:
        commit = _git("rev-parse", "--short", "HEAD")
        changed = _git("status", "--porcelain", "--", "tqconsole", "faults", "tests")
    except (OSError, subprocess.CalledProcessError):
        return "no commit"
    return f"{commit} with changes" if changed else commit


def _git(*words: str) -> str:
    command = ["git", *words]
    return subprocess.check_output(command, cwd=_ROOT, text=True, stderr=subprocess.DEVNULL).strip()


def placed(text: str) -> str:
    """Return a text in which files are named by their place in the project, or by no place."""
    text = text.replace(f"{_ROOT}{os.sep}", "")
    return _ELSEWHERE.sub("", text)


def table_lines(
    kept: Mapping[str, Mapping[str, Any]], scenarios: Mapping[str, Scenario]
) -> Iterator[str]:
    """Yield a section for each id that was run: its goal, its command, a row for each run."""
    for fault_id, scenario in scenarios.items():
        runs = [run for run in kept.values() if run["id"] == fault_id]
        yield from (f"### {fault_id}: {scenario.what}", "", f"Goal: {scenario.goal}", "")
        yield from (f"Fails when: {scenario.fails_when}", "", f"`python -m faults {fault_id}`", "")
        if not runs:
            continue
        yield "| engine | broker | depth | what came out | held | seed | took | when |"
        yield "|---|---|---|---|---|---|---|---|"
        yield from map(_row, sorted(runs, key=_rank))
        yield ""


def _key(outcome: Outcome) -> str:
    case = outcome.case
    return f"{case.fault_id} {case.engine} {case.broker} {case.depth}"


def _kept(outcome: Outcome) -> dict[str, Any]:
    case, report = outcome.case, outcome.report
    return {
        "id": case.fault_id,
        "engine": case.engine,
        "broker": case.broker,
        "depth": case.depth,
        "seed": case.seed,
        "took_s": round(outcome.took_s, 1),
        "at": time.strftime("%Y-%m-%d %H:%M", time.gmtime()),
        "account": str(report.account) if report.account else "",
        "figures": {name: shown(figure) for name, figure in report.figures.items()},
        "broken": [placed(line) for line in report.broken],
    }


def _rank(run: Mapping[str, Any]) -> tuple[int, str, str]:
    return -DEPTHS.index(run["depth"]), run["broker"], run["engine"]


def _row(run: Mapping[str, Any]) -> str:
    figures = ", ".join(f"{name} {figure}" for name, figure in run["figures"].items())
    came_out = "; ".join(part for part in (run["account"], figures) if part)
    held = "no: " + "; ".join(run["broken"]) if run["broken"] else "yes"
    cells = [run["engine"], run["broker"], run["depth"], came_out, held]
    cells += [str(run["seed"]), f"{run['took_s']:g} s", run["at"]]
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
