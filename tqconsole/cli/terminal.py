"""Whether there is a terminal that a full screen can be drawn on."""

from __future__ import annotations

import os
import sys


def has_terminal() -> bool:
    """True when both ends are a terminal that is not dumb."""
    is_terminal = sys.stdout.isatty() and sys.stdin.isatty()
    return is_terminal and os.environ.get("TERM", "dumb") != "dumb"
