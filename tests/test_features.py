"""The page of features cannot lie: every row is there once, and "yes" names a test that exists.

That it ran and passed is seen at the end of a whole run: `rows_ran.py`.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tests.rows_ran import TEST, rows_of

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "features.md"

#: Group -> how many rows it has; they are numbered from 1 without a gap.
ROW_COUNTS = {
    1: 48, 2: 29, 3: 24, 4: 30, 5: 28, 6: 14, 7: 45, 8: 14, 9: 9, 10: 49,
    11: 12, 12: 21, 13: 5, 14: 14, 15: 10, 16: 14, 17: 5, 18: 4, 19: 3, 20: 4,
}  # fmt: skip


def rows() -> list[tuple[str, str, str, str]]:
    return rows_of(PAGE)


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
    named = TEST.findall(why)
    absent = [
        f"{path}::{name}"
        for path, name in named
        if not (ROOT / path).is_file() or name not in names_in(ROOT / path)
    ]

    assert absent == [], f"{number} {feature} names a test that is not there"
    if here == "yes":
        assert named, f"{number} {feature} names no test"
    if here == "differs":
        assert TEST.sub("", why).strip(" :,"), f"{number} {feature} does not say why"


PAGE_OF_TWO = """
| 1.1 | Proven | yes | `tests/test_it.py::test_one` |
| 1.2 | Skipped | yes | `tests/test_it.py::test_two` |
"""
CONFTEST = """
from pathlib import Path
from tests.rows_ran import RowsRan

def pytest_configure(config):
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(RowsRan(Path("page.md")))
"""
TWO_TESTS = """
import pytest

@pytest.mark.parametrize("number", range(3))
def test_one(number):
    pass

@pytest.mark.xdist_group("a group")
class TestMore:
    def test_two(self):
        {end}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "page.md").write_text(PAGE_OF_TWO)
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "pytest.ini").write_text("[pytest]\ntestpaths = tests\n")
    (tmp_path / "tests").mkdir()
    return tmp_path


def run_in(project: Path, end: str, *options: str) -> tuple[int, str]:
    (project / "tests" / "test_it.py").write_text(TWO_TESTS.format(end=end))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options],
        cwd=project, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [(), ("-n", "2", "--dist", "loadgroup"), ("tests",)],
    ids=["plain", "xdist", "folder"],
)
def test_a_whole_run_fails_for_a_row_whose_test_was_skipped(
    project: Path, options: tuple[str, ...]
) -> None:
    code, out = run_in(project, "pytest.skip('no server')", *options)

    assert code == 1, out
    assert "1.2 Skipped: tests/test_it.py::test_two" in out
    assert "1.1 Proven" not in out
    assert run_in(project, "pass", *options)[0] == 0


@pytest.mark.slow
@pytest.mark.parametrize("options", [("-k", "one"), ("-m", "not server"), ("tests/test_it.py",)])
def test_a_part_of_the_tests_says_nothing_of_the_rest(
    project: Path, options: tuple[str, ...]
) -> None:
    code, out = run_in(project, "pytest.skip('no server')", *options)

    assert code == 0, out
