"""The console under load, on a real terminal, watched from inside: one process a measurement.

    python -m benchmarks.console_load PLAN.json

The plan names the broker, the rows that are there already, the screens and their seconds; what was
seen is written into the plan's `answer` file. The console is the real one; only its clockwork is
looked at: how late the loop comes back, what a frame costs, what goes to the terminal.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from textual import events

from benchmarks.processes import rss_mb
from tqconsole.console import Console
from tqconsole.core.ingest import Arrived
from tqconsole.core.session import Session
from tqconsole.core.simulated_events import EventSource
from tqconsole.core.store import Store
from tqconsole.core.views import PAST, Snapshot, TaskRow
from tqconsole.engine.app import App
from tqconsole.widgets.frame import ConsoleScreen
from tqconsole.widgets.vtable import VTable

#: Seconds between two looks at the loop, and between two keys.
_LOOK_S, _KEY_S = 0.005, 0.23
#: Keys pressed in turn, so that the cursor always moves.
_KEYS = ("down", "down", "down", "up", "pagedown", "up", "up", "pageup")


class WatchedSession(Session):
    """A session that begins with rows, and notes how old events are when they are folded in."""

    def __init__(self, app: App) -> None:
        super().__init__(app.broker, None, app.control, context="load", reason="a benchmark")
        self.behind_s: list[float] = []
        self._fold = self._model.take
        self._model.take = self._fold_timed  # type: ignore[method-assign]  # to look at it

    def begin_with(self, row_count: int) -> None:
        """Have rows of an earlier run."""
        self._model.cluster.add_past(past_rows(row_count))

    def _fold_timed(self, batch: Arrived) -> None:
        self._fold(batch)
        at = batch.events[-1].get("timestamp") if batch.events else None
        if isinstance(at, int | float):
            self.behind_s.append(time.time() - at)


class WatchedConsole(Console):
    """The console with a stopwatch."""

    def __init__(self, session: WatchedSession, plan: dict[str, Any]) -> None:
        super().__init__(session, screen="dashboard")
        self.plan = plan
        self.answer: dict[str, Any] = {"screens": {}}
        self.started_mono = 0.0
        self.frame_count = self.byte_count = 0
        self.is_looked_at = False
        self.lags_s: list[float] = []
        self.watched = session
        self.key_sent_mono: float | None = None
        self.key_from: object = None
        self.key_s: list[float] = []

    async def on_mount(self) -> None:
        """Start the measurement; the console's own handler starts the console after it."""
        self.started_mono = time.monotonic()
        driver = self._driver
        assert driver is not None
        write = driver.write

        def counted(data: str) -> None:
            write(data)
            self.byte_count += len(data)
            self.note_written()

        driver.write = counted  # type: ignore[method-assign]
        self.run_worker(self.measure(), exit_on_error=True)

    def after_frame(self, snapshot: Snapshot) -> None:
        """Note the first frame of a live link."""
        super().after_frame(snapshot)
        self.frame_count += 1
        if snapshot.link == "live" and "first_s" not in self.answer:
            self.answer["first_s"] = time.monotonic() - self.started_mono

    def watch_loop(self, due_mono: float) -> None:
        """Note how late the loop comes back to what is due, and come back soon.

        Two hundred looks a second cost two hundredths of a core, which are not the console's.
        """
        if not self.is_looked_at:
            return
        now_mono = time.monotonic()
        self.lags_s.append(max(0.0, now_mono - due_mono))
        due_mono = now_mono + _LOOK_S
        asyncio.get_running_loop().call_later(_LOOK_S, self.watch_loop, due_mono)

    def note_written(self) -> None:
        """End the time of a key when its effect has gone to the terminal."""
        if self.key_sent_mono is not None and self.place() != self.key_from:
            self.key_s.append(time.monotonic() - self.key_sent_mono)
            self.key_sent_mono = None

    def place(self) -> object:
        """Return where the cursor stands."""
        shown = self.shown_screen()
        table = shown.query(VTable).first() if isinstance(shown, ConsoleScreen) else None
        return None if table is None else table.cursor_id

    async def measure(self) -> None:
        """Go through the screens, write down what was seen, and leave."""
        await asyncio.sleep(self.plan["warm_up_s"])
        self.watched.behind_s.clear()
        for name in self.plan["screens"]:
            self._handlers()[f"screen.{name}"]()
            await asyncio.sleep(1.0)
            self.answer["screens"][name] = await self.measured(self.plan["seconds"])
        snapshot = self.session.snapshot()
        self.answer |= {
            "rows": snapshot.rows_kept,
            "workers": len(snapshot.workers),
            "queues": len(snapshot.queues),
            "missed": snapshot.missed_count,
            "behind_s": max(self.watched.behind_s, default=None),
            "rss_mb": rss_mb(os.getpid()),
        }
        Path(self.plan["answer"]).write_text(json.dumps(self.answer))
        self.exit(0)

    async def measured(self, seconds: float) -> dict[str, Any]:
        """Return what one screen costs for so long, then how it answers for as long again."""
        cost = {} if self.plan["has_keys"] else await self.cost(seconds)
        self.lags_s.clear()
        self.key_s.clear()
        self.is_looked_at = True
        self.watch_loop(time.monotonic())
        if self.plan["has_keys"]:
            await self.press_keys(seconds)
        else:
            await asyncio.sleep(seconds)
        self.is_looked_at = False
        return cost | {
            "events_per_s": self.session.snapshot().events_per_s,
            "longest_pause_s": max(self.lags_s),
            "pauses_s": quantiles(self.lags_s),
            "keys_s": quantiles(self.key_s),
            "key_count": len(self.key_s),
        }

    async def cost(self, seconds: float) -> dict[str, float]:
        """Return what the console takes while nobody looks at its loop."""
        frames, written = self.frame_count, self.byte_count
        begun_mono, begun_cpu_s = time.monotonic(), time.process_time()
        await asyncio.sleep(seconds)
        took_s = time.monotonic() - begun_mono
        return {
            "cpu_ratio": (time.process_time() - begun_cpu_s) / took_s,
            "frames_per_s": (self.frame_count - frames) / took_s,
            "bytes_per_s": (self.byte_count - written) / took_s,
        }

    async def press_keys(self, seconds: float) -> None:
        """Press keys all the time, and note how long each takes to be seen."""
        driver = self._driver
        assert driver is not None
        until_mono = time.monotonic() + seconds
        number = 0
        while time.monotonic() < until_mono:
            event = events.Key(_KEYS[number % len(_KEYS)], None)
            event.set_sender(self)
            self.key_from = self.place()
            self.key_sent_mono = time.monotonic()
            driver.send_message(event)
            number += 1
            await asyncio.sleep(_KEY_S)


def quantiles(values: Sequence[float]) -> list[float]:
    """Return median, p99 and the largest."""
    ordered = sorted(values)
    if not ordered:
        return []
    return [ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.99)], ordered[-1]]


def past_rows(count: int) -> list[TaskRow]:
    """Return rows as another run of the console would have left them."""
    source, store, at = EventSource(7, 20, 2000.0), Store(), time.time() - 4000.0
    while len(store) < count:
        for event in source.second(at):
            store.apply(event, event["timestamp"], event["hostname"])
        at += 1
    rows = store.rows()[:count]
    for row in rows:
        row.source = PAST
    return rows


def main(words: Sequence[str]) -> int:
    """Run one plan."""
    plan = json.loads(Path(words[0]).read_text())
    with App("load", broker=plan["url"]) as app:
        session = WatchedSession(app)
        if plan["rows"]:
            session.begin_with(plan["rows"])
        WatchedConsole(session, plan).run()
        session.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
