"""How a text gets into the clipboard of whoever sits before the terminal, also over SSH.

OSC 52 asks the terminal itself. tmux takes it only where it was told to, so there tmux is asked by
its own command, which sets its buffer and the clipboard outside. screen takes no such thing but
hands on what is wrapped for it, in pieces.
"""

from __future__ import annotations

import base64
import shutil
import subprocess
from collections.abc import Mapping

#: Characters of base64 that terminals take at least: xterm, iTerm, kitty and foot take more.
OSC_LIMIT = 74_994
#: Bytes of one string that screen hands on.
SCREEN_PIECE = 500
#: Seconds for tmux to answer.
TMUX_WAIT_S = 2.0


def fits_terminal(text: str) -> bool:
    """True when any terminal takes a text of this length."""
    return len(_encoded(text)) <= OSC_LIMIT


def clipboard_sequence(text: str, environ: Mapping[str, str]) -> str:
    """Return what is to be written to the terminal."""
    sequence = f"\x1b]52;c;{_encoded(text)}\x07"
    if not is_screen(environ):
        return sequence
    pieces = (
        sequence[start : start + SCREEN_PIECE] for start in range(0, len(sequence), SCREEN_PIECE)
    )
    return "".join(f"\x1bP{piece}\x1b\\" for piece in pieces)


def is_tmux(environ: Mapping[str, str]) -> bool:
    """True inside tmux, if its command is at hand."""
    return bool(environ.get("TMUX")) and shutil.which("tmux") is not None


def is_screen(environ: Mapping[str, str]) -> bool:
    """True inside GNU screen; tmux calls its terminal so, too."""
    return bool(environ.get("STY")) and not environ.get("TMUX")


def give_to_tmux(text: str) -> str:
    """Put a text into tmux's buffer, and through it into the clipboard; returns what went wrong.

    Waits for tmux: to be called in a thread.
    """
    for options in (("-w",), ()):
        try:
            subprocess.run(  # noqa: S603 - a fixed command
                ["tmux", "load-buffer", *options, "-"],  # noqa: S607 - the user's own tmux
                input=text.encode("utf-8", "replace"),
                capture_output=True,
                timeout=TMUX_WAIT_S,
                check=True,
            )
        except subprocess.CalledProcessError as error:
            # Before 3.2 it knows no -w: then its buffer has to do.
            wrong = error.stderr.decode("utf-8", "replace").strip()
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
        else:
            return ""
    return wrong or "tmux refused it"


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode("utf-8", "replace")).decode("ascii")
