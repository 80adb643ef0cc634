"""What is written to a terminal so that a text is in the clipboard behind it."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest
from driving import press, settle
from fake import FakeSession

from tqconsole.console import Console
from tqconsole.widgets import clipboard
from tqconsole.widgets.clipboard import clipboard_sequence, fits_terminal, is_screen, is_tmux

PLAIN = re.compile(r"\x1b\]52;c;([A-Za-z0-9+/=]*)\x07")
SCREEN = {"STY": "123.pts-0", "TERM": "screen"}


def copied(sequence: str) -> str:
    found = PLAIN.fullmatch(sequence)
    assert found is not None
    return base64.b64decode(found[1]).decode()


def test_a_terminal_is_asked_by_osc_52() -> None:
    assert copied(clipboard_sequence("naïve ✔", {"TERM": "xterm"})) == "naïve ✔"


def test_screen_is_given_short_pieces_to_hand_on() -> None:
    text = "x" * 5000

    pieces = re.findall(r"\x1bP(.*?)\x1b\\", clipboard_sequence(text, SCREEN), re.DOTALL)

    assert max(map(len, pieces)) <= 500
    assert copied("".join(pieces)) == text


def test_tmux_calls_its_terminal_screen_and_is_none() -> None:
    environ = {"TMUX": "/tmp/tmux,1,0", "STY": "1.x", "TERM": "screen-256color"}

    assert not is_screen(environ)
    assert not is_tmux({"TERM": "tmux-256color"})


def test_a_text_that_is_too_long_is_known() -> None:
    assert fits_terminal("x" * 50_000)
    assert not fits_terminal("x" * 60_000)


def test_an_old_tmux_has_at_least_its_own_buffer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "tmux"
    old.write_text(
        '#!/bin/sh\nif [ "$2" = -w ]; then echo "unknown option -- w" >&2; exit 1; fi\n'
        f"cat > {tmp_path}/buffer\n"
    )
    old.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    assert clipboard.give_to_tmux("text") == ""
    assert (tmp_path / "buffer").read_text() == "text"


def test_a_tmux_that_is_gone_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    assert "tmux" in clipboard.give_to_tmux("text")


async def test_what_no_terminal_takes_goes_into_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    session = FakeSession()
    session.rows[-1].args = "x" * 80_000
    app = Console(session, screen="tasks")
    async with app.run_test(size=(120, 36)) as pilot:
        await settle(pilot)
        await press(pilot, "c", "a")

        assert any("too long for a terminal" in one.message for one in app._notifications)

    (path,) = tmp_path.iterdir()
    assert path.read_text().startswith("x" * 80_000)
