"""A console that is told to leave and looks first whether anybody still reads its terminal."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import Any

from tests.screens.simulated import SimulatedConsole
from tqconsole.core.simulate import SimulatedSession

#: Seconds within which a thread that need not be there any more has ended.
ENDED_S = 4.0


class DeafConsole(SimulatedConsole):
    """Writes down whether the thread that reads keys has ended."""

    def exit(self, *_args: Any, **_options: Any) -> None:
        for thread in threading.enumerate():
            if thread.name == "textual-input":
                thread.join(ENDED_S)
                Path(sys.argv[1]).write_text("reads" if thread.is_alive() else "ended")
                os._exit(3)


if __name__ == "__main__":
    DeafConsole(SimulatedSession(history_s=5), screen="tasks").run()
