"""What came out: series of runs by key, their medians, and a file that keeps them."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.values import Key, Reading, Series


@dataclass(slots=True)
class Results:
    """Everything that was measured in one session."""

    #: Machine, versions, date and the like, in the order in which they are shown.
    facts: dict[str, str] = field(default_factory=dict)
    series: dict[Key, Series] = field(default_factory=dict)
    #: How each key's worker was configured, in words.
    configs: dict[Key, str] = field(default_factory=dict)

    def add(self, key: Key, reading: Reading) -> None:
        """Keep a run that counted right."""
        self.series.setdefault(key, Series()).readings.append(reading)

    def fail(self, key: Key, reason: str) -> None:
        """Keep the reason of a run that gave no figure."""
        self.series.setdefault(key, Series()).failures.append(reason)

    def median(self, key: Key, metric: str) -> float | None:
        """Return the median over the runs that have the figure, None without any."""
        found = self.series.get(key)
        values = [it[metric] for it in found.readings if metric in it] if found else []
        return statistics.median(values) if values else None

    def ratio(self, key: Key, peer_key: Key, metric: str) -> float | None:
        """Return one median by another, None where either is missing."""
        ours, theirs = self.median(key, metric), self.median(peer_key, metric)
        return ours / theirs if ours is not None and theirs else None

    def save(self, path: Path) -> None:
        """Write the file that `load` reads."""
        runs = [
            {**asdict(key), "config": self.configs.get(key, ""), **asdict(series)}
            for key, series in self.series.items()
        ]
        path.write_text(json.dumps({"facts": self.facts, "runs": runs}, indent=1) + "\n")


def load(path: Path) -> Results:
    """Read what `save` wrote. Raises: OSError, ValueError, KeyError for another file."""
    data: Mapping[str, Any] = json.loads(path.read_text())
    results = Results(facts=dict(data["facts"]))
    for run in data["runs"]:
        key = Key(run["workload"], run["broker"], run["peer"])
        results.series[key] = Series(run["readings"], run["failures"])
        results.configs[key] = run["config"]
    return results
