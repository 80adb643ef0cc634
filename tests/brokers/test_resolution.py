"""Which broker is meant, and why."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tqconsole.engine.brokers import open_broker
from tqconsole.engine.brokers.resolution import known_workers, note_worker, resolve_broker
from tqconsole.engine.exceptions import ImproperlyConfigured


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    return {"XDG_STATE_HOME": str(tmp_path / "state")}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "a" / "b"
    place.mkdir(parents=True)
    return place


def test_the_command_line_wins(home: dict[str, str], folder: Path) -> None:
    environ = {**home, "CELERY_BROKER_URL": "redis://env"}

    resolved = resolve_broker("redis://given", environ, "redis://context", "redis://app", folder)

    assert (resolved.url, resolved.reason) == ("redis://given", "given with -b/--broker")


def test_our_variable_wins_over_celerys(home: dict[str, str], folder: Path) -> None:
    environ = {**home, "CELERY_BROKER_URL": "redis://a", "TQCONSOLE_BROKER": "redis://b"}

    assert resolve_broker(None, environ, cwd=folder).url == "redis://b"


def test_a_context_wins_over_the_app(home: dict[str, str], folder: Path) -> None:
    assert resolve_broker(None, home, "redis://c", "redis://app", folder).url == "redis://c"


def test_pyproject_names_a_broker_relative_to_itself(home: dict[str, str], folder: Path) -> None:
    project = folder.parent
    (project / "pyproject.toml").write_text('[tool.tqconsole]\nbroker = "sqlite:mine.db"\n')

    resolved = resolve_broker(None, home, cwd=folder)

    assert resolved.url == f"sqlite:///{str(project / 'mine.db').lstrip('/')}"
    assert "pyproject.toml" in resolved.reason


def test_a_project_root_holds_the_queue(home: dict[str, str], folder: Path) -> None:
    (folder.parent / ".git").mkdir()

    resolved = resolve_broker(None, home, cwd=folder)

    assert resolved.url.endswith("/a/.tqconsole/queue.db")
    assert resolved.is_default


@pytest.mark.parametrize("mark", [".tqconsole", ".git"])
def test_what_lies_in_everybodys_folder_is_no_project(
    home: dict[str, str], folder: Path, mark: str
) -> None:
    (folder.parent / mark).mkdir()
    (folder.parent / "pyproject.toml").write_text('[tool.tqconsole]\nbroker = "redis://theirs"\n')
    folder.parent.chmod(0o1777)

    resolved = resolve_broker(None, home, cwd=folder)

    assert resolved.url.endswith("/state/tqconsole/queue.db")


def test_a_tqconsole_folder_above_wins_over_a_nearer_mark(
    home: dict[str, str], folder: Path
) -> None:
    (folder / "pyproject.toml").touch()
    (folder.parent / ".tqconsole").mkdir()

    assert resolve_broker(None, home, cwd=folder).url.endswith("/a/.tqconsole/queue.db")


def test_outside_a_project_the_state_folder_holds_the_queue(
    home: dict[str, str], folder: Path
) -> None:
    resolved = resolve_broker(None, home, cwd=folder)

    assert resolved.url.endswith("/state/tqconsole/queue.db")
    assert resolved.reason == "outside any project"


def test_a_broken_pyproject_is_named(home: dict[str, str], folder: Path) -> None:
    (folder / "pyproject.toml").write_text("[tool")

    with pytest.raises(ImproperlyConfigured, match=r"pyproject\.toml cannot be read"):
        resolve_broker(None, home, cwd=folder)


def test_a_misspelt_scheme_names_the_nearest() -> None:
    with pytest.raises(
        ImproperlyConfigured, match=r"No such transport: sqlit\. Did you mean sqlite"
    ):
        open_broker("sqlit:///x.db")


def test_a_url_without_a_scheme_says_what_there_is() -> None:
    with pytest.raises(ImproperlyConfigured, match="has no scheme"):
        open_broker("localhost")


def test_a_living_worker_is_known(home: dict[str, str]) -> None:
    note_worker("sqlite:///q.db", "w1@here", os.getpid(), home)

    assert [worker.worker_name for worker in known_workers(home)] == ["w1@here"]


def test_notes_of_dead_workers_are_removed(home: dict[str, str]) -> None:
    path = note_worker("sqlite:///q.db", "w1@here", 2**22 + 1, home)
    path.with_name("junk.json").write_text("no json")

    assert known_workers(home) == []
    assert not path.exists()
