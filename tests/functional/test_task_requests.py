"""A task's own Request is told of every run, in the worker's main process."""

from __future__ import annotations

import pytest
from worker_process import PATIENCE_S, Site, eventually

from tqconsole.engine.app import App
from tqconsole.engine.exceptions import ImproperlyConfigured
from tqconsole.engine.worker.policies import policies_of


def told(site: Site, task_name: str) -> list[str]:
    path = site.folder / "told"
    lines = path.read_text().splitlines() if path.exists() else []
    return [line.partition(" ")[2] for line in lines if line.startswith(f"{task_name} ")]


@pytest.mark.parametrize(
    ("task_name", "end"),
    [
        ("fine", ["success False 4 True"]),
        ("bad", ["failure ValueError"]),
        ("again", ["retry KeyError('not yet')", "success False 1 True"]),
        ("too_long", ["timeout True 0.1", "failure SoftTimeLimitExceeded"]),
        ("cut", ["timeout False 0.2", "failure TimeLimitExceeded"]),
        ("dies", ["failure WorkerLostError"]),
    ],
)
def test_it_is_told_what_becomes_of_a_run(site: Site, task_name: str, end: list[str]) -> None:
    worker = site.worker(pool="prefork", include=["functional_requests"])

    site.call(task_name).get(timeout=PATIENCE_S, propagate=False)

    # It runs where the worker does, and knows who runs the task: another process.
    accepted = ["accepted True True"]
    wanted = accepted + end[:-1] + (accepted if len(end) > 1 and task_name == "again" else [])
    assert eventually(lambda: told(site, task_name) == wanted + end[-1:]), told(site, task_name)
    if task_name == "fine":
        assert worker.says("who observes changes nothing")


def test_another_class_is_refused_by_name() -> None:
    app = App("x", broker="memory://", set_as_current=False)
    app.task(name="odd", Request=dict)(lambda: 1)

    with pytest.raises(ImproperlyConfigured, match=r"builtins\.dict is to be derived from"):
        policies_of(app)
