"""The watch on what a program draws."""

from __future__ import annotations

import os
import sys

import pytest

from benchmarks.terminal import drawn_after_s
from benchmarks.values import RunFailedError

#: Draws `dashboard` in two colours, if this is a terminal of 120 columns.
DRAWING = """
import os, sys
if sys.stdout.isatty() and os.get_terminal_size().columns == 120:
    print("\\x1b[2J\\x1b[1;3H\\x1b[38;5;59mdash\\x1b[0mboard", flush=True)
    input()
"""


def test_what_is_drawn_in_pieces_is_seen() -> None:
    assert 0 < drawn_after_s([sys.executable, "-c", DRAWING], os.environ, "dashboard") < 20


def test_a_program_that_ends_without_drawing_fails_with_its_last_words() -> None:
    with pytest.raises(RunFailedError, match=r"did not draw 'dashboard': no such broker"):
        drawn_after_s([sys.executable, "-c", "print('no such broker')"], os.environ, "dashboard")
