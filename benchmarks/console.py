"""What the console costs under load, against the figures it is to hold.

The console runs on a terminal of its own (120x36), in a process of its own; another one sends the
events of a simulated cluster to a private Redis, as workers do. The figures are taken inside the
console's process; memory over eight hours and the bytes of a row are taken without a screen.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import pty
import select
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from benchmarks.console_feed import EVENTS_PER_TASK
from benchmarks.facts import machine_facts
from benchmarks.servers import Servers
from benchmarks.stage_table import write_section

#: Lines and columns of the terminal.
_SIZE = (36, 120)
#: Rows there are before the first event comes.
_ROWS = 100_000
#: Seconds measured on each screen, then looked at again as long; and before the first: garbage
#: collection has settled then.
_SECONDS, _WARM_UP_S = 6.0, 12.0
#: Seconds after which the idle thread comes back.
_IDLE_S = 0.005
#: Seconds that a console may take beyond its plan.
_SPARE_S = 30.0


@dataclass(frozen=True, slots=True)
class Load:
    """One run of the console."""

    event_rate: int
    worker_count: int
    queue_count: int
    screens: tuple[str, ...]
    has_keys: bool = False
    warm_up_s: float = _WARM_UP_S

    @property
    def seconds(self) -> float:
        """How long it takes."""
        stretches = 1 if self.has_keys else 2
        return self.warm_up_s + len(self.screens) * (stretches * _SECONDS + 1)


LOADS = {
    "screens": Load(10_000, 20, 8, ("tasks", "dashboard", "events")),
    "wide": Load(10_000, 200, 1000, ("workers", "queues", "tasks"), has_keys=True, warm_up_s=4.0),
    "fast": Load(16_500, 20, 8, ("tasks",), warm_up_s=4.0),
}


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table."""

    what: str
    seen: str
    goal: str
    is_held: bool


def measure(load: Load, url: str, folder: Path) -> dict[str, Any]:
    """Run the console under a load and return what it saw. Raises: RuntimeError if it died."""
    plan, answer = folder / "plan.json", folder / "answer.json"
    answer.unlink(missing_ok=True)
    plan.write_text(
        json.dumps(
            {
                "url": url,
                "rows": _ROWS,
                "screens": load.screens,
                "seconds": _SECONDS,
                "warm_up_s": load.warm_up_s,
                "has_keys": load.has_keys,
                "answer": str(answer),
            }
        )
    )
    shape = (load.event_rate, load.worker_count, load.queue_count, int(load.seconds + _SPARE_S))
    with _fed(url, shape), Idle() as idle:
        said = _on_terminal([sys.executable, "-m", "benchmarks.console_load", str(plan)])
    if not answer.exists():
        raise RuntimeError(f"the console has told nothing: {said[-500:]!r}")
    found: dict[str, Any] = json.loads(answer.read_text())
    return found | {"idle_s": idle.longest_s}


class Idle:
    """A thread that does nothing but come back every few milliseconds: how late, the machine says.

    Without it nobody could tell the console's pauses from those that other programs make.
    """

    def __init__(self) -> None:
        self.longest_s = 0.0
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._is_over.is_set():
            due_mono = time.monotonic() + _IDLE_S
            time.sleep(_IDLE_S)
            self.longest_s = max(self.longest_s, time.monotonic() - due_mono)


@contextlib.contextmanager
def _fed(url: str, shape: Sequence[int]) -> Iterator[None]:
    words = [sys.executable, "-m", "benchmarks.console_feed", url, *map(str, shape)]
    feed = subprocess.Popen(words)
    try:
        yield
    finally:
        feed.kill()
        feed.wait()


def _on_terminal(words: Sequence[str]) -> bytes:
    """Run a program on a terminal to its end; return the last it said there."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", *_SIZE, 0, 0))
    process = subprocess.Popen(
        words,
        env={**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    said = b""
    try:
        while select.select([ours], [], [], _SPARE_S)[0]:
            said = said[-2000:] + os.read(ours, 65536)
    except OSError:
        pass  # As Linux tells that the program has ended.
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    return said


def memory() -> dict[str, float]:
    """Return what a row costs and what eight simulated hours leave, from a process of its own."""
    words = [sys.executable, "-m", "benchmarks.console_memory"]
    found: dict[str, float] = json.loads(
        subprocess.run(words, capture_output=True, check=True).stdout
    )
    return found


def rows_of(name: str, found: dict[str, Any]) -> list[Row]:
    """Return the table's rows of one measurement."""
    if name == "memory":
        return _memory_rows(found)
    make = {"screens": _cost_rows, "wide": _key_rows}.get(name)
    rows: list[Row] = []
    for screen, seen in found["screens"].items():
        what = f"{screen}, {seen['events_per_s']:,.0f} events/s, {found['rows']:,} rows"
        if name == "wide":
            what = f"{screen}, {found['workers']} workers, {found['queues']:,} queues"
        rows += make(what, seen) if make is not None else []
        pause_ms, idle_ms = 1000 * seen["longest_pause_s"], 1000 * found["idle_s"]
        told = f"{what}: longest pause of the loop (of an idle process beside it)"
        pauses = f"{pause_ms:.0f} ({idle_ms:.0f}) ms"
        rows.append(Row(told, pauses, "100 ms", is_held=pause_ms < 100))
    rows += _whole_rows(name, found)
    if found["missed"]:
        rows.append(Row("events that were missed", f"{found['missed']:,}", "0", is_held=False))
    return rows


def _key_rows(what: str, seen: dict[str, Any]) -> list[Row]:
    median_ms, p99_ms, _ = (1000 * value for value in seen["keys_s"])
    text = f"{what}: key until it is seen, median and p99 of {seen['key_count']}"
    return [Row(text, f"{median_ms:.0f} and {p99_ms:.0f} ms", "100 ms", is_held=p99_ms < 100)]


def _cost_rows(what: str, seen: dict[str, Any]) -> list[Row]:
    cpu, frames, kib = seen["cpu_ratio"], seen["frames_per_s"], seen["bytes_per_s"] / 1024
    text = f"{frames:.1f}, {kib:.0f} KiB/s"
    return [
        Row(f"{what}: share of one core", f"{cpu:.0%}", "25 %", is_held=cpu < 0.25),
        Row(f"{what}: frames/s, to the terminal", text, "10 to 15", is_held=9.5 <= frames <= 15),
    ]


def _whole_rows(name: str, found: dict[str, Any]) -> list[Row]:
    """Return what is of the whole run, not of one screen."""
    first_s, rss_mb, behind_s = found["first_s"], found["rss_mb"], found["behind_s"]
    if name == "screens":
        return [
            Row("first frame after the connection", f"{first_s:.2f} s", "1 s", is_held=first_s < 1),
            Row("resident memory then", f"{rss_mb:.0f} MB", "250 MB", is_held=rss_mb < 250),
        ]
    if name == "fast":
        rate = next(iter(found["screens"].values()))["events_per_s"]
        what = f"{rate / EVENTS_PER_TASK:,.0f} tasks/s ({rate:,.0f} events/s): behind at most"
        return [Row(what, f"{behind_s:.2f} s", "1 s", is_held=behind_s < 1)]
    return []


def _memory_rows(found: dict[str, float]) -> list[Row]:
    row_bytes, rss_mb = found["row_bytes"], found["rss_mb"]
    what = f"8 simulated hours, {found['events']:,.0f} events, {found['rows']:,.0f} rows"
    return [
        Row("bytes of a task's row", f"{row_bytes:.0f}", "1,024", is_held=row_bytes < 1024),
        Row(f"{what}: resident memory", f"{rss_mb:.0f} MB", "250 MB", is_held=rss_mb < 250),
    ]


def table_lines(rows: Sequence[Row]) -> list[str]:
    """Return a table in Markdown."""
    lines = ["| What | Seen | Goal | Held |", "|---|---:|---:|---|"]
    for row in rows:
        held = "yes" if row.is_held else "**no**"
        lines.append(f"| {row.what} | {row.seen} | {row.goal} | {held} |")
    return lines


def _introduction() -> list[str]:
    facts = machine_facts()
    return [
        "## The console under load",
        "",
        f"Written by `python -m benchmarks.console --page FILE` on {facts['Date']} at commit"
        f" {facts['Commit']} ({facts['Machine']}, {facts['Python']}): the real console on a"
        " terminal of 120x36, fed through a private Redis with the events of a simulated cluster"
        " (four for each task: sent, received, started, ended); the feeding process and the server"
        " share the machine with it. A pause is how late the event loop comes back to what is due,"
        " looked at two hundred times a second for as long again: the looks are in no share of a"
        " core.",
        "",
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write: 0 when every goal is held."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.console", description=__doc__)
    names = [*LOADS, "memory"]
    parser.add_argument("--only", nargs="+", choices=names, default=names)
    parser.add_argument("--page", type=Path, metavar="FILE", help="write into this page, too")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep what was seen")
    options = parser.parse_args(arguments)
    seen: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="tq-console-") as folder, Servers(Path(folder)) as up:
        for name in options.only:
            if name == "memory":
                seen[name] = memory()
            else:
                seen[name] = measure(LOADS[name], up.place("redis").url, Path(folder))
    if options.json:
        options.json.write_text(json.dumps(seen, indent=1))
    rows = [row for name, found in seen.items() for row in rows_of(name, found)]
    print("\n".join(table_lines(rows)))
    if options.page:
        write_section(options.page, [*_introduction(), *table_lines(rows)], name="console")
        print(f"written: {options.page}")
    return 0 if all(row.is_held for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
