"""The other half of the page of features' word: what it names as proof ran, and was not skipped.

`tests/test_features.py` sees to it that the tests exist. Whether they ran is known only when all is
over, so a plugin looks then, in the process that gathers the reports (xdist's workers send theirs).
A run of a part of the tests says nothing about the rest, and is left alone.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

#: A row: number, feature, how it stands, test or reason.
ROW = re.compile(r"^\| (\d+\.\d+) \| (.+?) \| (yes|differs|not yet) \| (.*?) ?\|$")
TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def rows_of(page: Path) -> list[tuple[str, str, str, str]]:
    """Return (number, feature, here, test or reason), as the page has them."""
    lines = [line for line in page.read_text().splitlines() if re.match(r"\| \d", line)]
    read = [ROW.match(line) for line in lines]
    assert [line for line, found in zip(lines, read, strict=True) if found is None] == []
    return [found.group(1, 2, 3, 4) for found in read if found is not None]  # type: ignore[misc]  # a pattern of four groups


class RowsRan:
    """A plugin that fails a whole run in which a row's test did not pass even once."""

    def __init__(self, page: Path) -> None:
        self._page = page
        self._passed: set[tuple[str, str]] = set()
        self._unproven: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and report.passed:
            # Behind its name stand what it was given, and the group that runs together.
            path, *_, name = re.split(r"[\[@]", report.nodeid)[0].split("::")
            self._passed.add((path, name))

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if not _is_whole(session):
            return
        self._unproven = [
            f"{number} {feature}: {path}::{name}"
            for number, feature, _, why in rows_of(self._page)
            for path, name in TEST.findall(why)
            if (path, name) not in self._passed
        ]
        if self._unproven and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._unproven:
            terminalreporter.section(f"rows of {self._page.name} whose test did not run and pass")
            for line in self._unproven:
                terminalreporter.line(line)


def _is_whole(session: pytest.Session) -> bool:
    """Return whether all tests were asked for, and the run was not broken off."""
    config, option = session.config, session.config.option
    is_everywhere = config.args_source is not pytest.Config.ArgsSource.ARGS or config.args == [
        "tests"
    ]
    narrowing = ("keyword", "markexpr", "deselect", "ignore", "ignore_glob", "collectonly", "lf")
    is_narrowed = any(getattr(option, name, None) for name in narrowing)
    is_broken_off = bool(session.shouldstop or session.shouldfail)
    return is_everywhere and not is_narrowed and not is_broken_off
