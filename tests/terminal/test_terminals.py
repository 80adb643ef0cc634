"""The console in terminals of all kinds: few colours, none, ASCII, tmux, a shell that stops it."""

from __future__ import annotations

import re
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.terminal.pty_console import PtyConsole
from tests.terminal.tmux_pane import TmuxPane

pytestmark = pytest.mark.slow

SIMULATED = ["-m", "tests.screens.simulated"]
ROOT = Path(__file__).parents[2]
#: Colours out of 16 million, out of 256, and any at all.
TRUE, INDEXED = re.compile(rb"[34]8;2;"), re.compile(rb"[34]8;5;")
ANY = re.compile(
    rb"\x1b\[(?:[0-9]+;)*(?:3[0-7]|4[0-7]|9[0-7]|10[0-7]|[34]8;[25];[0-9;]+)(?:;[0-9]+)*m"
)


def drawn(command: list[str], **environ: str) -> bytes:
    """Return what the console writes in its first picture."""
    with closing(PtyConsole(command, {"COLORTERM": "", **environ})) as console:
        console.until(b"LIVE")
        console.rest()
        return console.written


def test_a_terminal_of_256_colours_gets_no_other() -> None:
    written = drawn(SIMULATED, TERM="xterm-256color")

    assert INDEXED.search(written)
    assert not TRUE.search(written)


def test_a_terminal_of_16_colours_gets_no_other() -> None:
    written = drawn(SIMULATED, TERM="xterm")

    assert ANY.search(written)
    assert not INDEXED.search(written)
    assert not TRUE.search(written)


def test_a_terminal_of_all_colours_gets_them() -> None:
    assert TRUE.search(drawn(SIMULATED, TERM="xterm-256color", COLORTERM="truecolor"))


def test_no_colour_is_no_colour(tmp_path: Path) -> None:
    command = ["-m", "tqconsole", "-b", f"sqlite:///{tmp_path}/q.db", "--no-color"]

    written = drawn(command, TERM="xterm-256color")

    # What is left is black and white: of each colour three equal parts.
    for colour in re.findall(rb"[34]8;5;(\d+)", written):
        assert int(colour) in {0, 7, 8, 15, 16, 59, 102, 145, 188, 231} | set(range(232, 256))


def test_ascii_is_ascii(tmp_path: Path) -> None:
    command = ["-m", "tqconsole", "-b", f"sqlite:///{tmp_path}/q.db", "--ascii"]

    written = drawn(command, TERM="xterm-256color")

    assert b"LIVE" in written
    assert re.findall(rb".{0,60}[^\x00-\x7f]+.{0,20}", written) == []


def test_the_shell_gets_its_terminal_back_and_gives_it_again(tmp_path: Path) -> None:
    shell = "import os; os.execvp('bash', ['bash', '--norc', '-i'])"
    with closing(TmuxPane(["-c", shell], ROOT, {"PS1": "ready$ "})) as pane:
        pane.until("ready$")
        pane.type(f"{sys.executable} -m tqconsole -b sqlite:///{tmp_path}/q.db")
        pane.press("enter")
        pane.until("LIVE")

        pane.press("ctrl+z")
        pane.until("Stopped", "ready$")
        pane.type("fg")
        pane.press("enter")
        pane.until("LIVE")

        pane.press("ctrl+q")
        pane.until("ready$")
        pane.type("stty -a | grep -q -- ' echo ' && printf 'it %s again\\n' echoes")
        pane.press("enter")
        pane.until("it echoes again")


def test_what_is_copied_in_tmux_is_in_its_buffer(tmp_path: Path) -> None:
    with closing(TmuxPane(SIMULATED, ROOT)) as pane:
        pane.until("LIVE")
        pane.press("2")
        pane.until("following")
        pane.press("c")
        pane.until("Copy")
        pane.press("i")
        pane.until("copied the id")

        buffer = pane.run("show-buffer")

    assert re.fullmatch(r"[0-9a-f-]{36}\s*", buffer)


def test_a_text_that_comes_with_its_key_in_one_burst_is_text() -> None:
    with closing(TmuxPane([*SIMULATED, "dashboard"], ROOT)) as pane:
        pane.until("Latest failures")
        pane.type(":tasks img")
        pane.until(": tasks img")
        pane.press("enter")
        pane.until("filter img", "following")

        pane.press("esc")
        pane.until("/ filters: ")
        pane.type("/state:FAILURE name:R/x")
        pane.until("filter state:FAILURE name:R/x")
