from __future__ import annotations

from typing import Any

import pytest
from canvas_rig import Worker, add_tasks


@pytest.fixture
def worker() -> Worker:
    return Worker()


@pytest.fixture
def t(worker: Worker) -> Any:
    """The tasks of the worker's app, by attribute."""

    class Tasks:
        def __init__(self) -> None:
            self.__dict__.update(add_tasks(worker.app))

    return Tasks()
