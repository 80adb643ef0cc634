"""What cannot be meant is refused in a sentence that names the value and the way out."""

from __future__ import annotations

import os
from typing import Any

import pytest
from client_rig import make_app, sent

from tqconsole.engine.app import App
from tqconsole.engine.exceptions import EncodeError, ImproperlyConfigured, QueueNotFound
from tqconsole.engine.settings_told import contradictions


@pytest.fixture
def app() -> App:
    app = make_app()

    @app.task(name="add")
    def add(x: int, y: int) -> int:
        return x + y

    return app


def circle(app: App) -> Any:
    call = app.tasks["add"].s(1, 1)
    call.link(call)
    return call


@pytest.mark.parametrize(
    ("options", "kind", "text"),
    [
        (
            {"serializer": "nosuch"},
            ImproperlyConfigured,
            r"serializer: nosuch \(there are json, msgpack",
        ),
        ({"compression": "nosuch"}, ImproperlyConfigured, "No such compression: nosuch"),
        ({"countdown": "soon"}, ValueError, "soon"),
        ({"eta": "tomorrow"}, ValueError, "tomorrow"),
        ({"priority": "high"}, (ValueError, EncodeError, ImproperlyConfigured), "high"),
        ({"delivery_mode": "fast"}, (ValueError, ImproperlyConfigured), "fast"),
        ({"retry_policy": {"max_retries": "often"}}, EncodeError, "often"),
    ],
)
def test_an_option_that_cannot_be_meant_is_named(
    app: App, options: dict[str, Any], kind: Any, text: str
) -> None:
    with pytest.raises(kind, match=text):
        app.tasks["add"].apply_async((1, 1), **options)
    assert sent(app) == []


def test_a_circle_of_links_is_refused(app: App) -> None:
    call = circle(app)

    with pytest.raises(EncodeError, match=r"linked to add go round in a circle.*link a copy"):
        call.apply_async()
    with pytest.raises(EncodeError, match="circle"):
        app.tasks["add"].apply_async((1, 1), link_error=[call])
    assert sent(app) == []


def test_an_unknown_queue_is_refused_where_none_may_be_made() -> None:
    app = make_app(task_create_missing_queues=False)

    with pytest.raises(QueueNotFound, match=r"elsewhere.*task_create_missing_queues"):
        app.send_task("add", queue="elsewhere")


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (
            {"task_soft_time_limit": 60, "task_time_limit": 30},
            "task_soft_time_limit = 60 never comes before task_time_limit = 30: make it lower",
        ),
        ({"task_serializer": "pickle"}, "task_serializer = 'pickle' is not among accept_content"),
        ({"result_serializer": "yaml"}, "not among result_accept_content"),
    ],
)
def test_settings_that_contradict_each_other_are_named(settings: dict[str, Any], text: str) -> None:
    (line,) = contradictions(make_app(**settings).conf)

    assert text in line


@pytest.mark.parametrize(
    "settings",
    [
        {"task_soft_time_limit": 30, "task_time_limit": 60},
        {"task_serializer": "pickle", "accept_content": ["json", "pickle"]},
        {"result_serializer": "yaml", "result_accept_content": ["application/x-yaml"]},
    ],
)
def test_settings_that_go_together_are_nobodys_business(settings: dict[str, Any]) -> None:
    assert contradictions(make_app(**settings).conf) == []


def test_a_configuration_module_can_be_run_by_itself(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import subprocess
    import sys

    (tmp_path / "celeryconfig.py").write_text("broker_url = 'redis://'\ntask_acks_late = True\n")

    def checked() -> int:
        command = [sys.executable, "-m", "celeryconfig"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode

    assert checked() == 0
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    app = make_app()
    app.config_from_object("celeryconfig")
    assert app.conf.task_acks_late is True
    (tmp_path / "celeryconfig.py").write_text("task_acks_late == = True\n")
    assert checked() == 1


def test_pickle_is_not_read_as_root(monkeypatch: pytest.MonkeyPatch) -> None:
    from tqconsole.engine.exceptions import SecurityError
    from tqconsole.engine.worker import program
    from tqconsole.engine.worker.options import WorkerOptions

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    reads_pickle = make_app(accept_content=["json", "pickle"])

    with pytest.raises(SecurityError, match="Use another user"):
        program._check(reads_pickle, WorkerOptions())
    monkeypatch.setenv("C_FORCE_ROOT", "1")
    program._check(reads_pickle, WorkerOptions())


def test_root_is_warned(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    from tqconsole.engine.worker import program
    from tqconsole.engine.worker.options import WorkerOptions

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    program._check(make_app(), WorkerOptions())

    assert "runs as root" in caplog.text
