"""The page of features cannot lie: every row is there once, and "yes" names a test that exists."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "features.md"

#: Group -> how many rows it has; they are numbered from 1 without a gap.
ROW_COUNTS = {
    1: 48, 2: 29, 3: 24, 4: 30, 5: 28, 6: 14, 7: 45, 8: 14, 9: 9, 10: 49,
    11: 12, 12: 21, 13: 5, 14: 14, 15: 10, 16: 14, 17: 5, 18: 4, 19: 3, 20: 4,
}  # fmt: skip
_ROW = re.compile(r"^\| (\d+\.\d+) \| (.+?) \| (yes|differs|not yet) \| (.*?) ?\|$")
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def rows() -> list[tuple[str, str, str, str]]:
    """Return (number, feature, here, test or reason), as the page has them."""
    lines = [line for line in PAGE.read_text().splitlines() if re.match(r"\| \d", line)]
    read = [_ROW.match(line) for line in lines]
    assert [line for line, found in zip(lines, read, strict=True) if found is None] == []
    return [found.group(1, 2, 3, 4) for found in read if found is not None]  # type: ignore[misc]  # a pattern of four groups


@cache
def names_in(path: Path) -> frozenset[str]:
    tree = ast.parse(path.read_text())
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, functions))


def test_every_row_is_there_once() -> None:
    wanted = [
        f"{group}.{number}" for group, count in ROW_COUNTS.items() for number in range(1, count + 1)
    ]

    assert [number for number, *_ in rows()] == wanted


@pytest.mark.parametrize(("number", "feature", "here", "why"), rows(), ids=lambda cell: cell[:8])
def test_a_row_keeps_its_word(number: str, feature: str, here: str, why: str) -> None:
    named = _TEST.findall(why)
    absent = [
        f"{path}::{name}"
        for path, name in named
        if not (ROOT / path).is_file() or name not in names_in(ROOT / path)
    ]

    assert absent == [], f"{number} {feature} names a test that is not there"
    if here == "yes":
        assert named, f"{number} {feature} names no test"
    if here == "differs":
        assert _TEST.sub("", why).strip(" :,"), f"{number} {feature} does not say why"
