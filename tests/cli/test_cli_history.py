"""`tqconsole history`, and what decides whether and where the console keeps one."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from stub_cluster import Done

from tqconsole.cli.console import ConsoleOptions, Opener
from tqconsole.cli.invocation import Invocation
from tqconsole.core.history_file import HistoryFile, files_of, history_path, values_of
from tqconsole.core.views import TaskRow

Run = Callable[..., Done]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def keep(path: Path) -> None:
    row = TaskRow("t1", 1)
    row.state, row.updated_at = "FAILURE", 1_800_000_000.0
    file = HistoryFile(path)
    file.save([values_of(row)])
    file.close()


def history_of(folder: Path, *, context: str = "", **options: object) -> Path | None:
    invocation = Invocation()
    invocation.take({"context": context} if context else {"broker": f"sqlite:///{folder}/q.db"})
    with ExitStack() as opened:
        app = invocation.app()
        opened.callback(app.close)
        session = Opener(ConsoleOptions(**options), opened).own(invocation, app)
        history = session._options.history
        session.stop()
    return history.path if history is not None else None


def test_files_are_listed_with_what_they_hold(run: Run) -> None:
    keep(history_path("prod", "redis://h/0"))

    (found,) = run("history", "list", "--json").json

    assert (found["tasks"], found["problems"], found["newest_at"]) == (1, 1, 1_800_000_000.0)
    assert found["path"] == str(history_path("prod", ""))
    assert "prod-" in run("history", "list").out


def test_a_damaged_file_is_listed_with_its_error(run: Run) -> None:
    path = history_path("prod", "")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"no database" * 1000)

    assert "not a database" in run("history", "list").out
    assert run("history", "clear", "--all", "-f").code == 0
    assert files_of(path) == []


def test_only_this_clusters_history_is_deleted(folder: Path) -> None:
    from tqconsole.cli.main import main

    here = history_path("", f"sqlite://{folder}/q.db")
    other = history_path("prod", "")
    keep(here)
    keep(other)

    assert main(["history", "clear", "-f", "-b", f"sqlite:///{folder}/q.db"]) == 0

    assert files_of(here) == []
    assert files_of(other) != []


def test_nobody_to_ask_deletes_nothing(run: Run) -> None:
    path = history_path("prod", "")
    keep(path)

    assert run("history", "clear", "--all").code == 2
    assert files_of(path) != []


def test_nothing_kept_is_said(run: Run) -> None:
    assert run("history", "list").err.startswith("Nothing is kept in ")
    assert run("history", "list", "--json").json == []


def test_the_console_keeps_its_clusters_history(folder: Path) -> None:
    assert history_of(folder) == history_path("", f"sqlite://{folder}/q.db")


def test_the_history_can_be_switched_off(folder: Path) -> None:
    assert history_of(folder, no_history=True) is None


def test_a_context_can_switch_it_off(folder: Path) -> None:
    config = folder / "config" / "tqconsole"
    config.mkdir(parents=True)
    (config / "contexts.toml").write_text(
        f'[contexts.kept]\nbroker = "sqlite:///{folder}/q.db"\n'
        f'[contexts.unkept]\nbroker = "sqlite:///{folder}/q.db"\nhistory = false\n'
    )

    assert history_of(folder, context="kept") == history_path("kept", "")
    assert history_of(folder, context="unkept") is None


def test_a_verb_refuses_the_consoles_option_but_not_its_variable(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "--no-history belongs to the console" in run("--no-history", "history", "list").err
    monkeypatch.setenv("TQCONSOLE_NO_HISTORY", "1")
    assert run("history", "list").code == 0
