"""SIGUSR2 opens a debugger in the process that gets it, where `CELERY_RDBSIG` asks for that.

The debugger is imported when the signal comes: a worker starts without it.
"""

from __future__ import annotations

import importlib
import os
import signal
from collections.abc import Mapping
from types import FrameType

#: What switches it on.
SWITCH = "CELERY_RDBSIG"
_DEBUGGER = "tqconsole.engine.contrib.rdb"


def listen_to_usr2(environ: Mapping[str, str] = os.environ) -> None:
    """Open a debugger at SIGUSR2 from now on, if that is asked for. Main thread only."""
    if environ.get(SWITCH):
        signal.signal(signal.SIGUSR2, _on_signal)


def _on_signal(_: int, frame: FrameType | None) -> None:
    importlib.import_module(_DEBUGGER).show(frame)
