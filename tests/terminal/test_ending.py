"""The console ends when its terminal vanishes, always, and gives a terminal back that stays."""

from __future__ import annotations

import signal
import termios
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.terminal.pty_console import DRAWN_S, PtyConsole

pytestmark = pytest.mark.slow

#: Terminals that vanish: one console of eight was seen to stay.
TERMINALS = 30
AT_ONCE = 5


@pytest.fixture
def consoles() -> Iterator[list[PtyConsole]]:
    opened: list[PtyConsole] = []
    yield opened
    for console in opened:
        console.close()


def console_on(folder: Path) -> PtyConsole:
    return PtyConsole(["-m", "tqconsole", "-b", f"sqlite:///{folder}/queue.db"])


@pytest.mark.timeout(400)
def test_every_console_ends_when_its_terminal_vanishes(
    tmp_path: Path, consoles: list[PtyConsole]
) -> None:
    codes = []
    for _ in range(TERMINALS // AT_ONCE):
        round_ = [console_on(tmp_path) for _ in range(AT_ONCE)]
        consoles += round_
        for number, console in enumerate(round_):
            console.until(b"\x1b[?1049h")
            # At different moments of its start, and later.
            for _ in range(number * 4):
                console.read(0.02)
            console.vanish()
        codes += [console.ended() for console in round_]

    # One that had not yet come to take the signal is ended by it all the same, or by its terminal.
    assert len(codes) == TERMINALS
    assert set(codes) <= {128 + signal.SIGHUP, -signal.SIGHUP, 1}
    assert 128 + signal.SIGHUP in codes


@pytest.mark.timeout(200)
def test_a_console_whose_writes_are_stuck_ends_when_its_terminal_vanishes(
    tmp_path: Path, consoles: list[PtyConsole]
) -> None:
    console = PtyConsole(["-m", "tests.terminal.endless_console", f"{tmp_path}/left"])
    consoles.append(console)
    console.until(b"Tasks")
    stuck(console)

    console.vanish()

    assert console.ended() == 128 + signal.SIGHUP
    assert (tmp_path / "left").exists()


@pytest.mark.timeout(200)
def test_nobody_reads_on_from_a_terminal_that_has_vanished(
    tmp_path: Path, consoles: list[PtyConsole]
) -> None:
    console = PtyConsole(["-m", "tests.terminal.deaf_console", f"{tmp_path}/reader"])
    consoles.append(console)
    console.until(b"Tasks")

    console.vanish()

    assert console.ended() == 3
    assert (tmp_path / "reader").read_text() == "ended"


@pytest.mark.timeout(200)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_terminal_that_stands_still_is_given_back(
    tmp_path: Path, consoles: list[PtyConsole], number: signal.Signals
) -> None:
    console = PtyConsole(["-m", "tests.terminal.endless_console", f"{tmp_path}/left"])
    consoles.append(console)
    console.until(b"Tasks")
    stuck(console)

    console.process.send_signal(number)

    assert console.ended() == 128 + number
    assert (tmp_path / "left").exists()
    assert termios.tcgetattr(console.slave) == console.attributes


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_the_terminal_is_given_back(
    tmp_path: Path, consoles: list[PtyConsole], number: signal.Signals
) -> None:
    console = console_on(tmp_path)
    consoles.append(console)
    console.until(b"ev/s")

    console.process.send_signal(number)

    assert console.ended() == 128 + number
    while console.read():
        pass
    assert b"\x1b[?1049l" in console.written
    assert b"\x1b[?25h" in console.written
    assert termios.tcgetattr(console.slave) == console.attributes


def stuck(console: PtyConsole) -> None:
    """Read nothing until the program's main thread waits for its terminal to take more."""
    schedule = Path(f"/proc/{console.process.pid}/task/{console.process.pid}/schedstat")
    pause = threading.Event()
    deadline = time.monotonic() + DRAWN_S
    before = ""
    while (now := schedule.read_text()) != before:
        assert time.monotonic() < deadline, "it never waited"
        before = now
        # A dozen frames would be drawn in this time: a thread that got none of it is stuck.
        pause.wait(1.0)
