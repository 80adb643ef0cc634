"""The page of the console cannot lie: a wish names keys that exist and what shows its answer."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tqconsole.core.keymap import KEYMAP
from tqconsole.core.keys_text import keys_shown
from tqconsole.screens.command_line import COMMANDS

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "console.md"
WISH_COUNT = 25

Row = tuple[str, str, str, str]


def rows() -> list[Row]:
    """Return (number, wish, keys, shown by), as the page has them."""
    lines = [line for line in PAGE.read_text().splitlines() if re.match(r"\| \d+ \|", line)]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [(number, wish, keys, shown) for number, wish, _, keys, shown in cells]


@cache
def names_in(path: Path) -> frozenset[str]:
    tree = ast.parse(path.read_text())
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, functions))


def known_keys() -> set[str]:
    shown = {key for entry in KEYMAP for key in keys_shown(entry)}
    return shown | {f":{command.name}" for command in COMMANDS}


def test_every_wish_is_there_once() -> None:
    assert [number for number, *_ in rows()] == [str(n) for n in range(1, WISH_COUNT + 1)]


@pytest.mark.parametrize(("number", "wish", "keys", "shown"), rows(), ids=lambda cell: cell[:12])
def test_a_wish_names_keys_and_proofs_that_are_there(
    number: str, wish: str, keys: str, shown: str
) -> None:
    named = re.findall(r"`([^`]+)`", shown)

    assert named, f"{number} {wish} shows nothing"
    assert set(re.findall(r"`([^`]+)`", keys)) <= known_keys(), f"{number} {wish}"
    for proof in named:
        path, _, test = proof.partition("::")
        assert (ROOT / path).is_file(), f"{number} {wish}: {path}"
        assert not test or test in names_in(ROOT / path), f"{number} {wish}: {proof}"
