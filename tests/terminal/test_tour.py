"""The tour of docs/tour.md, played in a real terminal: every row's keys bring what it says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from tests.functional.worker_process import eventually
from tests.terminal.tmux_pane import TmuxPane

PAGE = Path(__file__).parents[2] / "docs" / "tour.md"
ROW = re.compile(r"\| (?P<keys>.+?) \| .+? \|(?P<shown>.*)\|")
CODE = re.compile(r"`([^`]+)`")


def rows() -> Iterator[tuple[list[str], list[str]]]:
    """Yield the keys of each row, and what is to be seen then."""
    for line in PAGE.read_text().splitlines():
        found = ROW.fullmatch(line)
        if found is not None and CODE.findall(found["keys"]):
            yield CODE.findall(found["keys"]), CODE.findall(found["shown"])


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_tour_is_as_it_is_told(tmp_path: Path) -> None:
    (start, shown), *steps = rows()
    assert start == ["$ tqconsole"]
    assert len(steps) == 10
    environ = {"XDG_STATE_HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    with closing(TmuxPane(["-m", "tqconsole"], tmp_path, environ)) as pane:
        pane.until(*shown)
        for keys, shown in steps[:-1]:
            for key in keys:
                if key.startswith("["):
                    pane.type(key)
                else:
                    pane.press(key)
            pane.until(*shown)
        console = psutil.Process(pane.pid)
        workers = console.children(recursive=True)
        assert workers

        pane.press(*steps[-1][0])

        assert eventually(lambda: not any(is_running(one) for one in [console, *workers]))


def is_running(process: psutil.Process) -> bool:
    """True while it runs: where nobody collects orphans, one that has ended stays a zombie."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
