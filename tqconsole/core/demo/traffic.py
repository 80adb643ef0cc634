"""The demo's customers: a steady stream of calls with a wave in it, and a ledger of what was sent.

A call stands in the ledger only after `send_many` returned, so that "lost" means what a user means.
"""

from __future__ import annotations

import itertools
import random
import threading
from typing import Any

from tqconsole.core.demo import tasks
from tqconsole.engine import App
from tqconsole.engine.exceptions import EngineError

#: One batch of calls every so many seconds.
STEP_S = 0.25
#: Steps of a wave: calls pile up in its first part and drain in the second.
WAVE_STEPS = 120
#: What a picture is resized to.
KINDS = ("thumb", "full", "avatar")


class DemoTraffic:
    """Sends until told to stop, from a thread of its own."""

    def __init__(self, app: App, rng: random.Random, later_s: tuple[int, int] = (20, 90)) -> None:
        """Send through `app`; `later_s` are the bounds of the delayed calls' countdown."""
        self.sent_ids: list[str] = []
        self.error = ""
        self._app = app
        self._rng = rng
        self._later_s = later_s
        self._stopping = threading.Event()
        self._numbers = itertools.count(1)
        self._thread = threading.Thread(target=self._run, name="demo-traffic", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def stop(self) -> None:
        """Send no more; returns when the last batch is in the ledger."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        for step in itertools.count():
            try:
                results = self._app.send_many(self._calls(step))
            except EngineError as error:
                self.error = str(error)
            else:
                self.sent_ids.extend(result.id for result in results)
            if self._stopping.wait(STEP_S):
                return

    def _calls(self, step: int) -> list[tuple[Any, ...]]:
        rng = self._rng
        picture_count = rng.randint(2, 4) if step % WAVE_STEPS < WAVE_STEPS // 3 else 1
        calls: list[tuple[Any, ...]] = [
            *(self._call(tasks.count) for _ in range(rng.randint(2, 4))),
            *(self._call(tasks.order) for _ in range(rng.randint(1, 2))),
            *(self._call(tasks.resize, rng.choice(KINDS)) for _ in range(picture_count)),
        ]
        if step % 16 == 0:
            calls.append((tasks.build_report, (rng.randint(1, 12),), {}, {}))
        if step % 24 == 0:
            later = {"countdown": rng.randint(*self._later_s)}
            calls.append((tasks.send_mail, ("newsletter@example.org", "digest"), {}, later))
        return calls

    def _call(self, task: Any, *more: Any) -> tuple[Any, ...]:
        return task, (next(self._numbers), *more), {}, {}
