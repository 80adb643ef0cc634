"""Writes what a case came to into the docs, so that no figure is typed by hand.

The runs are kept as JSON beside the page, one per id, engine, broker and depth; the newest stands.
The tables between the page's markers are made from it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from faults.runner import Outcome, shown
from faults.scenario import DEPTHS, Scenario

BEGIN, END = "<!-- figures: written by --record -->", "<!-- end of figures -->"


def record(page: Path, outcome: Outcome, scenarios: Mapping[str, Scenario]) -> None:
    """Keep an outcome beside the page, and write the page's tables anew.

    Raises: ValueError for a page without the two markers.
    """
    text = page.read_text()
    if BEGIN not in text or END not in text:
        raise ValueError(f"{page}: no {BEGIN!r} and {END!r} to write the figures between")
    kept_path = page.with_suffix(".json")
    kept = json.loads(kept_path.read_text()) if kept_path.exists() else {}
    kept[_key(outcome)] = _kept(outcome)
    kept_path.write_text(json.dumps(dict(sorted(kept.items())), indent=1) + "\n")
    head, tail = text.partition(BEGIN)[0], text.partition(END)[2]
    page.write_text("\n".join([head + BEGIN, "", *table_lines(kept, scenarios), "", END + tail]))


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
        "broken": list(report.broken),
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
