"""The program around the verbs: help, mistakes, exit codes, and nothing imported too early."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from stub_cluster import Done, StubApp

from tqconsole import __version__
from tqconsole.cli.invocation import GlobalOptions
from tqconsole.cli.main import COMMANDS
from tqconsole.cli.verb import Verb, VerbGroup
from tqconsole.engine.exceptions import (
    BrokerUnreachableError,
    EncodeError,
    ForeignFileError,
    ImproperlyConfigured,
    NotSupportedError,
    OperationalError,
)

Run = Callable[..., Done]


@pytest.mark.parametrize("word", ["--version", "-q --version"])
def test_the_version_is_printed(run: Run, word: str) -> None:
    assert run(*word.split()).out == f"tqconsole {__version__}\n"


def test_help_lists_every_verb(run: Run) -> None:
    done = run("--help")

    assert done.code == 0
    assert [name for name in COMMANDS if f"  {name} " not in done.out] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_verb_has_help(run: Run, name: str) -> None:
    direct, by_help = run(name, "--help"), run("help", name)

    assert direct.code == by_help.code == 0
    assert direct.out == by_help.out
    assert direct.out.startswith(f"Usage: tqconsole {name}")
    assert "--json" in direct.out
    assert "Global options (before or after the verb; the later wins):" in direct.out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_verb_takes_the_global_options(name: str) -> None:
    import importlib

    command = importlib.import_module(COMMANDS[name][0]).verb

    assert isinstance(command, Verb | VerbGroup)
    assert command.name == name
    options = {option for param in command.params for option in param.opts}
    assert {"-A", "-b", "--result-backend", "--workdir", "-q", "-C", "--json"} <= options


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("stauts",), "No such command 'stauts'. Did you mean status?"),
        (("xyzzy",), "No such command 'xyzzy'. (see tqconsole --help)"),
        (("--nosuch",), "No such option"),
        (("status", "--nosuch"), "(see tqconsole status --help)"),
        (("--screen", "tasks", "status"), "--screen belongs to the console"),
        (("--screen", "nosuch"), "'nosuch' is not one of"),
        (("--screen", "audit", "status"), "--screen belongs to the console"),
        (("help", "nosuch"), "No such command 'nosuch'"),
        (("-b", "", "status"), "--broker is empty"),
        (("status", "--app", ""), "--app is empty"),
        (("status", "--workdir", "/nosuch"), "--workdir /nosuch: No such file or directory"),
        (("status", "extra"), "unexpected extra argument"),
    ],
)
def test_a_mistake_is_one_line_and_2(run: Run, words: tuple[str, ...], text: str) -> None:
    done = run(*words)

    assert text in done.err
    assert (done.err.count("\n"), done.out, done.code) == (1, "", 2)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BrokerUnreachableError("nobody answers at redis://h"), 75),
        (OperationalError("the disk is full"), 75),
        (ImproperlyConfigured("no such setting"), 2),
        (ForeignFileError("not ours"), 2),
        (EncodeError("set is not JSON"), 2),
        (NotSupportedError("cannot"), 1),
        (RuntimeError("two\nlines"), 1),
        (OSError(28, "No space left on device"), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_every_error_has_its_exit_code(
    app: StubApp, run: Run, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int
) -> None:
    def burst() -> str:
        raise error

    monkeypatch.setattr(app, "bugreport", burst)

    done = run("report")

    assert done.code == code
    assert "Traceback" not in done.err
    if code != 130:
        assert done.err.startswith("Error: ")
        assert done.err.count("\n") == 1


def test_a_full_disk_is_told_without_our_code(
    app: StubApp, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def burst() -> str:
        raise OSError(28, "No space left on device", "x.log")

    monkeypatch.setattr(app, "bugreport", burst)

    assert run("report").err == "Error: x.log: No space left on device\n"


def test_a_closed_stdout_is_no_mistake(
    app: StubApp, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout", None)

    assert run("report", "-q").code == 0


def test_a_mistake_of_ours_says_where(
    app: StubApp, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "bugreport", lambda: {}["x"])

    assert "test_cli_program.py:" in run("report").err


def test_a_traceback_can_be_had(app: StubApp, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "bugreport", lambda: {}["x"])
    monkeypatch.setenv("TQCONSOLE_TRACEBACK", "1")

    with pytest.raises(KeyError):
        run("report")


def test_later_options_win() -> None:
    first = GlobalOptions().updated({"broker": "a", "quiet": True, "app": None})

    later = first.updated({"broker": "b", "quiet": False, "app": "proj"})

    assert (later.broker, later.quiet, later.app) == ("b", True, "proj")


def test_workdir_is_changed_to_once(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "below").mkdir()

    run("report", "--workdir", "below")

    assert Path.cwd() == tmp_path / "below"


@pytest.mark.parametrize("words", [["--help"], ["status", "--help"], ["worker", "--help"]])
def test_no_verb_but_the_console_imports_a_screen(words: list[str]) -> None:
    code = (
        "import sys; from tqconsole.cli.main import main; main(sys.argv[1:]); "
        "print([n for n in ('textual', 'rich', 'kombu', 'redis') if n in sys.modules])"
    )

    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=True
    )

    assert done.stdout.splitlines()[-1] == "[]"
