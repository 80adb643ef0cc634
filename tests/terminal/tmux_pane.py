"""A program in a real terminal: a tmux server of its own, keys sent, the pane read."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

#: Seconds within which a pane shows what is waited for, on a busy machine.
SHOWN_S = 60.0
#: Keys as the console's pages call them -> as tmux does.
_NAMES = {
    "enter": "Enter",
    "tab": "Tab",
    "esc": "Escape",
    "space": "Space",
    "down": "Down",
    "right": "Right",
}


class TmuxPane:
    """One pane. `folder` is where the program runs."""

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        environ: Mapping[str, str] | None = None,
        size: tuple[int, int] = (80, 24),
    ) -> None:
        if shutil.which("tmux") is None:
            raise FileNotFoundError("tmux is not installed, this test needs it: make servers")
        # A socket's path must be short.
        self._place = Path(tempfile.mkdtemp(prefix="tq-tmux-"))
        given = {**os.environ, **(environ or {})}
        # The terminal says how large it is, whatever is said of the one around the tests.
        for name in ("COLUMNS", "LINES"):
            given.pop(name, None)
        self._tmux = ["tmux", "-S", str(self._place / "s"), "-f", "/dev/null"]
        start = ["new-session", "-d", "-x", str(size[0]), "-y", str(size[1]), "-c", str(folder)]
        subprocess.run([*self._tmux, *start, sys.executable, *command], env=given, check=True)
        self.run("set-option", "-g", "remain-on-exit", "on")

    def run(self, *words: str) -> str:
        """Run a command of tmux's; returns what it printed."""
        return subprocess.run(
            [*self._tmux, *words], check=True, capture_output=True, text=True
        ).stdout

    def press(self, *keys: str) -> None:
        """Press keys by the names that the console's pages have."""
        for key in keys:
            name = f"C-{key[5:]}" if key.startswith("ctrl+") else _NAMES.get(key, key)
            self.run("send-keys", name)

    def type(self, text: str) -> None:
        """Type a text."""
        self.run("send-keys", "-l", text)

    @property
    def text(self) -> str:
        """What the pane shows now."""
        return self.run("capture-pane", "-p")

    def until(self, *words: str) -> str:
        """Wait until all of `words` are shown; returns the pane's text."""
        return self._wait(lambda text: all(word in text for word in words), f"{words} not shown")

    def until_gone(self, word: str) -> str:
        """Wait until `word` is not shown any more; a key after esc is another key before that."""
        return self._wait(lambda text: word not in text, f"{word} still shown")

    def until_ended(self) -> None:
        """Wait until the program is gone.

        tmux itself is asked: the line that it draws into a dead pane stays away now and then, where
        the end of the program's output comes before the word of its death (seen with 3.3a).
        """
        self._wait(lambda _text: "1" in self.run("list-panes", "-F", "#{pane_dead}"), "still runs")

    def _wait(self, holds: Callable[[str], bool], complaint: str) -> str:
        pause = threading.Event()
        deadline = time.monotonic() + SHOWN_S
        while not holds(text := self.text):
            assert time.monotonic() < deadline, f"{complaint}:\n{text}"
            pause.wait(0.05)
        return text

    @property
    def pid(self) -> int:
        """The program's."""
        return int(self.run("display-message", "-p", "#{pane_pid}"))

    def close(self) -> None:
        """Ask the program to end, and take the terminal away."""
        subprocess.run([*self._tmux, "kill-server"], check=False, capture_output=True)
        shutil.rmtree(self._place, ignore_errors=True)
