"""A console that draws all the time, for a terminal that stops taking what it writes."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.screens.simulated import SimulatedConsole
from tqconsole.core.simulate import SimulatedSession


class EndlessConsole(SimulatedConsole):
    """Redraws everything with each frame, so that its writes fill any terminal's buffer."""

    def _frame(self) -> None:
        self.refresh(layout=True)
        for screen in self.screen_stack:
            screen.refresh(layout=True)
        super()._frame()


if __name__ == "__main__":
    code = EndlessConsole(SimulatedSession(history_s=5), screen="tasks").run() or 0
    # What a program does behind its console: it must come to that.
    Path(sys.argv[1]).touch()
    raise SystemExit(code)
