"""The count that every figure is held against."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks import processes
from benchmarks.counting import VARIABLE, Counter, short, waits_s

ROOT = Path(__file__).parent.parent.parent
#: Runs 3 tasks here, 4 in a thread, 5 in a forked child.
COUNTED = """
import os, threading
from benchmarks.counting import noop
def run(count):
    for number in range(count):
        assert noop(number) == number
run(3)
thread = threading.Thread(target=run, args=[4]); thread.start(); thread.join()
if not os.fork():
    run(5); os._exit(0)
os.wait()
"""


def test_runs_of_all_threads_and_processes_are_counted(tmp_path: Path) -> None:
    counter = Counter(tmp_path)
    assert counter.total() == 0

    subprocess.run(
        [sys.executable, "-c", COUNTED],
        cwd=ROOT,
        env={**os.environ, VARIABLE: str(tmp_path)},
        check=True,
    )

    assert counter.total() == 12


def test_a_tree_holds_the_children_and_their_cpu() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        pids = processes.tree(os.getpid())

    assert child.pid in pids
    assert processes.cpu_s([os.getpid()]) > 0
    assert processes.rss_mb(os.getpid()) > 1


def test_a_short_task_tells_how_long_it_waited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = tmp_path / "counts"
    counts.mkdir()
    monkeypatch.setenv(VARIABLE, str(counts))

    short(time.time() - 5)

    (wait_s,) = waits_s(counts)
    assert 5 <= wait_s < 60
    assert waits_s(counts) == []
    assert Counter(counts).total() == 1
