"""The page of workflows is run: its tasks by a worker in a thread, its examples one by one."""

from __future__ import annotations

import doctest
import re
import threading
from pathlib import Path
from typing import Any

from canvas_rig import Worker

PAGE = Path(__file__).parent.parent.parent / "docs" / "canvas.md"
_BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)


class Helper:
    """Runs what is sent as long as the page is read."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._work)

    def __enter__(self) -> Helper:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def settle(self) -> None:
        """Wait until nothing is left to run."""
        broker = self._worker.app.broker
        pause = threading.Event()
        while broker.depth("celery").ready_count or self._worker.is_busy:
            pause.wait(0.01)

    def _work(self) -> None:
        while not self._is_over.wait(0.005):
            self._worker.run_all()


def test_every_example_gives_what_it_says(worker: Worker) -> None:
    blocks = _BLOCK.findall(PAGE.read_text())
    code = blocks[0].replace('App("proj")', "the_app")
    names: dict[str, Any] = {"the_app": worker.app, "__name__": "proj"}
    exec(code, names)

    with Helper(worker) as helper:
        names["settle"] = helper.settle
        parser, runner = doctest.DocTestParser(), doctest.DocTestRunner(verbose=False)
        for number, block in enumerate(blocks[1:], 1):
            found = parser.get_doctest(block, names, f"block {number}", str(PAGE), 0)
            found.globs = names
            runner.run(found, clear_globs=False)

    told = runner.summarize(verbose=False)
    assert (told.failed, told.attempted >= 25) == (0, True)
