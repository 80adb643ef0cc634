"""What is left of a crash: a short text on the terminal, the traceback in a file.

No local variables in either: they hold arguments of tasks, and passwords.
"""

from __future__ import annotations

import os
import traceback
from pathlib import Path

import platformdirs


def write_crash(error: BaseException) -> Path | None:
    """Write the traceback to the user's log folder; returns where, None when that fails too."""
    folder = platformdirs.user_log_path("tqconsole")
    path = folder / f"crash-{os.getpid()}.log"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as sink:
            sink.writelines(traceback.format_exception(error))
    except OSError:
        return None
    return path


def crash_text(error: BaseException, path: Path | None) -> str:
    """Return what the terminal says."""
    where = f"The traceback is in {path}" if path is not None else "The traceback could not be kept"
    return f"tqconsole crashed: {type(error).__name__}. {where}. The cluster is not affected."
