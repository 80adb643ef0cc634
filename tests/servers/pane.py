"""A program in a window of tmux: keys go in, what a person would see comes out."""

from __future__ import annotations

import contextlib
import itertools
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.servers.kombu_fleet import eventually

#: Seconds until something is on the screen: a busy machine, workers asked now and then.
SEEN_S = 30.0
_count = itertools.count(1)


class Pane:
    """One window of a server of its own, which nobody's settings reach."""

    def __init__(
        self,
        command: Sequence[str],
        environ: Mapping[str, str],
        folder: Path,
        size: tuple[int, int] = (120, 36),
    ) -> None:
        self._socket = f"tqconsole-test-{os.getpid()}-{next(_count)}"
        words = shlex.join([sys.executable, *command])
        width, height = size
        self._tmux(
            *("-f", "/dev/null", "new-session", "-d", "-x", str(width), "-y", str(height)),
            # What it wrote last is wanted also when it has ended.
            f"tmux -L {self._socket} set remain-on-exit on; cd {shlex.quote(str(folder))}; {words}",
            environ={**environ, "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"},
        )

    def text(self) -> str:
        """Return what the window shows, line by line."""
        return self._tmux("capture-pane", "-p").stdout

    def press(self, *keys: str) -> None:
        """Press keys, by their names in tmux; one character is itself."""
        for key in keys:
            self._tmux("send-keys", key)

    def escape(self, gone: str) -> None:
        """Press escape, and wait until what it closes is gone: with the next key it were alt."""
        self.press("Escape")
        assert eventually(lambda: gone not in self.text(), SEEN_S), self.text()

    def type(self, text: str) -> None:
        """Type a text."""
        self._tmux("send-keys", "-l", text)

    def until(self, *words: str, patience_s: float = SEEN_S) -> str:
        """Wait until all these are on the screen; returns what it shows."""
        seen = eventually(lambda: self._with(words), patience_s)
        assert seen, f"{words} did not come:\n{self.text()}"
        return str(seen)

    def has_ended(self) -> bool:
        """True when the program has ended."""
        return self._tmux("list-panes", "-F", "#{pane_dead}").stdout.strip() == "1"

    def close(self) -> None:
        """Take the window away, and whatever runs in it."""
        with contextlib.suppress(subprocess.CalledProcessError):
            self._tmux("kill-server")

    def _with(self, words: Sequence[str]) -> str:
        text = self.text()
        return text if all(word in text for word in words) else ""

    def _tmux(
        self, *words: str, environ: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["tmux", "-u", "-L", self._socket, *words],
            env=dict(environ or os.environ),
            capture_output=True,
            encoding="utf-8",
            timeout=SEEN_S,
            check=True,
        )
