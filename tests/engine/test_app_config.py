from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
from client_rig import make_app

from tqconsole.engine import current
from tqconsole.engine.app import App
from tqconsole.engine.app.config import configured_broker_url
from tqconsole.engine.exceptions import ImproperlyConfigured
from tqconsole.engine.settings import Settings

Project = Callable[[dict[str, str]], None]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    known, path = set(sys.modules), list(sys.path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)

    def write(files: dict[str, str]) -> None:
        for name, text in files.items():
            target = tmp_path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)

    yield write
    sys.path[:] = path
    for name in set(sys.modules) - known:
        if name.startswith(("cfgproj", "celeryconfig")):
            del sys.modules[name]


class TestSource:
    def test_may_be_a_modules_name(self, project: Project) -> None:
        project({"cfgproj.py": "task_serializer = 'yaml'\nimport os\n"})
        app = make_app()

        app.config_from_object("cfgproj")

        assert app.conf.task_serializer == "yaml"
        assert "os" not in app.conf

    def test_may_be_an_attribute_of_a_module(self, project: Project) -> None:
        project({"cfgproj.py": "class Prod:\n    task_serializer = 'yaml'\n"})

        for path in ("cfgproj:Prod", "cfgproj.Prod"):
            app = make_app()
            app.config_from_object(path)
            assert app.conf.task_serializer == "yaml"

    def test_is_read_at_the_first_look(self, project: Project) -> None:
        app = make_app()

        app.config_from_object("cfgproj_later")
        project({"cfgproj_later.py": "timezone = 'Europe/Oslo'"})

        assert app.conf.timezone == "Europe/Oslo"

    def test_the_last_call_wins(self) -> None:
        app = make_app()

        app.config_from_object({"task_serializer": "yaml", "worker_concurrency": 2})
        app.config_from_object({"task_serializer": "msgpack"})

        assert app.conf.task_serializer == "msgpack"
        assert app.conf.worker_concurrency is None

    def test_that_is_missing_is_said_unless_silent(self) -> None:
        app = make_app()

        app.config_from_object("cfgproj_nosuch")
        with pytest.raises(ImproperlyConfigured, match="cfgproj_nosuch"):
            _ = app.conf.timezone
        app.config_from_object("cfgproj_nosuch", silent=True)
        assert app.conf.timezone is None

    def test_force_reads_now(self) -> None:
        with pytest.raises(ImproperlyConfigured):
            make_app().config_from_object("cfgproj_nosuch", force=True)

    def test_errors_inside_pass(self, project: Project) -> None:
        project({"cfgproj.py": "import cfgproj_missing"})
        app = make_app()
        app.config_from_object("cfgproj", silent=True)

        with pytest.raises(ModuleNotFoundError, match="cfgproj_missing"):
            _ = app.conf.timezone

    def test_may_have_a_namespace(self) -> None:
        app = make_app()

        app.config_from_object({"CELERY_TIMEZONE": "UTC", "DEBUG": True}, namespace="CELERY")

        assert app.conf.timezone == "UTC"
        assert "DEBUG" not in app.conf

    def test_may_be_named_by_the_environment(
        self, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        project({"cfgproj.py": "timezone = 'Europe/Oslo'"})
        app = make_app()

        with pytest.raises(ImproperlyConfigured, match="MY_CONFIG"):
            app.config_from_envvar("MY_CONFIG")
        assert app.config_from_envvar("MY_CONFIG", silent=True) is False
        monkeypatch.setenv("MY_CONFIG", "cfgproj")
        assert app.config_from_envvar("MY_CONFIG") is True
        assert app.conf.timezone == "Europe/Oslo"

    def test_is_celerys_variable_where_nothing_else_is(
        self, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        project({"cfgproj.py": "timezone = 'Europe/Oslo'"})
        monkeypatch.setenv("CELERY_CONFIG_MODULE", "cfgproj")

        assert make_app().conf.timezone == "Europe/Oslo"

    def test_of_the_default_app_is_celeryconfig(self, project: Project) -> None:
        project({"celeryconfig.py": "timezone = 'Europe/Oslo'"})
        current.set_default_app(None)

        assert current.get_current_app().conf.timezone == "Europe/Oslo"

    def test_reading_is_told(self) -> None:
        app, told = make_app(), []
        app.on_configure.connect(lambda **named: told.append("before"), weak=False)
        app.on_after_configure.connect(
            lambda sender, source, **named: told.append(source.timezone), weak=False
        )
        app.config_from_object({"timezone": "UTC"})

        _ = app.conf.task_serializer
        _ = app.conf.timezone

        assert told == ["before", "UTC"]

    def test_a_schedule_can_be_added_when_configured(self) -> None:
        app = make_app()

        @app.on_after_configure.connect
        def set_up(sender: App, **named: Any) -> None:
            sender.add_periodic_task(10.0, sender.signature("proj.add", (1, 2)), name="each 10")

        entry = app.conf.beat_schedule["each 10"]
        assert (entry["schedule"], entry["task"], entry["args"]) == (10.0, "proj.add", (1, 2))


class TestImports:
    def test_include_and_imports_are_both_imported(self, project: Project) -> None:
        project({"cfgproj_a.py": "", "cfgproj_b.py": ""})
        app = make_app(include=["cfgproj_a"], imports=("cfgproj_b",))

        app.import_modules()

        assert {"cfgproj_a", "cfgproj_b"} <= sys.modules.keys()

    def test_a_missing_module_is_an_error(self) -> None:
        with pytest.raises(ModuleNotFoundError):
            make_app(include=["cfgproj_nosuch"]).import_modules()

    def test_tasks_are_discovered(self, project: Project) -> None:
        project(
            {
                "cfgproj_one/__init__.py": "",
                "cfgproj_one/tasks.py": "",
                "cfgproj_two/__init__.py": "",
            }
        )
        app = make_app()

        app.autodiscover_tasks(["cfgproj_one", "cfgproj_two"])
        app.autodiscover_tasks(lambda: ["cfgproj_two"], related_name=None)
        assert "cfgproj_one.tasks" not in sys.modules
        app.import_modules()

        assert {"cfgproj_one.tasks", "cfgproj_two"} <= sys.modules.keys()

    def test_errors_in_discovered_modules_pass(self, project: Project) -> None:
        project({"cfgproj/__init__.py": "", "cfgproj/tasks.py": "import cfgproj_missing"})

        with pytest.raises(ModuleNotFoundError, match="cfgproj_missing"):
            make_app().autodiscover_tasks(["cfgproj"], force=True)

    def test_a_class_path_means_its_package(self, project: Project) -> None:
        project({"cfgproj/__init__.py": "", "cfgproj/tasks.py": "", "cfgproj/apps.py": ""})

        make_app().autodiscover_tasks(["cfgproj.apps.ShopConfig"], related_name=None, force=True)

        assert "cfgproj.apps" in sys.modules


class TestZone:
    def test_is_utc_by_default(self) -> None:
        assert make_app().timezone is UTC

    def test_follows_the_setting(self) -> None:
        app = make_app(timezone="Europe/Oslo")

        assert str(app.timezone) == "Europe/Oslo"
        assert app.now().utcoffset() is not None

    def test_that_is_unknown_is_refused(self) -> None:
        with pytest.raises(ImproperlyConfigured, match="Mars/Olympus"):
            _ = make_app(timezone="Mars/Olympus").timezone


class TestBroker:
    @pytest.mark.parametrize(
        ("settings", "url"),
        [
            ({}, None),
            ({"broker_url": "redis://h/1"}, "redis://h/1"),
            ({"broker_url": ["amqp://a", "amqp://b"]}, "amqp://a;amqp://b"),
            ({"broker_url": "memory"}, "memory://"),
            ({"broker_transport": "memory"}, "memory://"),
            (
                {
                    "broker_host": "h",
                    "broker_port": 5,
                    "broker_user": "u",
                    "broker_password": "p@s",
                    "broker_vhost": "/v",
                },
                "amqp://u:p%40s@h:5/%2Fv",
            ),
        ],
    )
    def test_url_comes_from_the_settings(self, settings: Any, url: str | None) -> None:
        assert configured_broker_url(Settings(settings)) == url

    def test_reason_is_known(self, monkeypatch: pytest.MonkeyPatch) -> None:
        app = make_app(broker="memory://configured")
        assert app.broker_resolved.url == "memory://configured"

        monkeypatch.setenv("CELERY_BROKER_URL", "memory://environment")
        app = make_app(broker="memory://configured")
        assert app.broker.url == "memory://environment"
        assert "CELERY_BROKER_URL" in app.broker_resolved.reason

    def test_command_line_wins(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CELERY_BROKER_URL", "memory://environment")
        app = make_app()

        app.conf.override(broker_url="memory://chosen")

        assert app.broker.url == "memory://chosen"

    def test_nobodys_choice_is_the_embedded_one(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "pyproject.toml").write_text("")
        monkeypatch.chdir(tmp_path)

        resolved = App("x", set_as_current=False).broker_resolved

        assert resolved.is_default
        assert resolved.url == f"sqlite://{tmp_path}/.tqconsole/queue.db"

    def test_embedded_results_are_in_the_same_file(self, tmp_path: Path) -> None:
        with App("x", broker=f"sqlite://{tmp_path}/q.db", set_as_current=False) as app:
            assert app.backend.is_enabled
            assert app.backend.rides_on(app.broker.place)

    def test_other_brokers_bring_no_results(self) -> None:
        assert not App("x", broker="memory://bare", set_as_current=False).backend.is_enabled


def test_the_report_tells_without_secrets() -> None:
    app = make_app(redis_password="hush")

    report = app.bugreport()

    assert "tqconsole:" in report
    assert "transport:memory" in report
    assert "hush" not in report


def test_worker_main_needs_the_word_worker() -> None:
    with pytest.raises(ValueError, match="worker sub-command"):
        make_app().worker_main(["--loglevel=INFO"])


def test_start_runs_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        make_app().start(["--version"])

    assert caught.value.code == 0
    assert capsys.readouterr().out.startswith("tqconsole ")
