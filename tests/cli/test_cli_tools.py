"""list, shell, graph, migrate, upgrade, amqp: the verbs beside the daily ones."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from celery.bin.celery import celery as celerys_program
from stub_cluster import Done, StubApp

from tqconsole.cli.graph import dot_of
from tqconsole.cli.main import COMMANDS
from tqconsole.cli.upgrade import upgraded_text
from tqconsole.engine.app import App
from tqconsole.engine.protocol.transfer import QueueSpec

Run = Callable[..., Done]
#: Options that belong to a part of Celery that is not here (beat within a worker).
ABSENT = {
    "worker": {"-B", "--beat", "-s", "--schedule", "--schedule-filename", "--scheduler"},
}


def options_of(command: click.Command) -> set[str]:
    return {
        word
        for param in command.params
        if isinstance(param, click.Option)
        for word in (*param.opts, *param.secondary_opts)
    }


def own(name: str) -> click.Command:
    found: click.Command = importlib.import_module(COMMANDS[name][0]).verb
    return found


#: Verbs of Celery's that come in a later step.
LATER = {"beat", "multi"}
CELERYS = sorted(set(celerys_program.list_commands(click.Context(celerys_program))) & set(COMMANDS))


@pytest.mark.parametrize("name", CELERYS)
def test_every_option_of_celerys_is_taken(name: str) -> None:
    theirs = celerys_program.get_command(click.Context(celerys_program), name)
    assert theirs is not None
    ours = own(name)

    assert options_of(theirs) - options_of(ours) == ABSENT.get(name, set())
    if isinstance(theirs, click.Group) and isinstance(ours, click.Group):
        assert set(theirs.commands) <= set(ours.commands)
        for below, command in theirs.commands.items():
            assert options_of(command) <= options_of(ours.commands[below]), below


def test_every_verb_of_celerys_is_here() -> None:
    theirs = set(celerys_program.list_commands(click.Context(celerys_program)))

    assert theirs - LATER <= set(COMMANDS) | {"flower"}, "flower comes with its own package"
    assert len(CELERYS) >= 16


@pytest.mark.parametrize("name", CELERYS)
def test_help_names_every_option_of_celerys_and_its_meaning(run: Run, name: str) -> None:
    theirs = celerys_program.get_command(click.Context(celerys_program), name)
    assert theirs is not None

    shown = run(name, "--help").out

    wanted = options_of(theirs) - ABSENT.get(name, set())
    assert [word for word in wanted if not re.search(rf"(^|\s){word}\b", shown)] == []
    for param in own(name).params:
        assert not isinstance(param, click.Option) or (param.help and len(param.help) > 8), param


@pytest.mark.parametrize("name", CELERYS)
def test_options_take_values_as_celerys_do(name: str) -> None:
    theirs = celerys_program.get_command(click.Context(celerys_program), name)
    assert theirs is not None
    for above, command in ((own(name), theirs), *pairs_below(own(name), theirs)):
        mine = {word: param for param in above.params for word in param.opts}
        for param in command.params:
            for word in param.opts if isinstance(param, click.Option) else ():
                ours = mine.get(word)
                if isinstance(ours, click.Option):
                    assert (ours.is_flag, ours.nargs) == (param.is_flag, param.nargs), word


def pairs_below(
    ours: click.Command, theirs: click.Command
) -> list[tuple[click.Command, click.Command]]:
    if not (isinstance(theirs, click.Group) and isinstance(ours, click.Group)):
        return []
    return [(ours.commands[below], command) for below, command in theirs.commands.items()]


def test_every_global_option_of_celerys_is_taken() -> None:
    assert options_of(celerys_program) <= options_of(own("report")) | {"--version"}


def test_bindings_are_the_apps_and_the_brokers(run: Run, app: StubApp) -> None:
    app.broker.declare(QueueSpec("other"))

    done = run("list", "bindings", "--json")

    rows = [(row["queue"], row["routing_key"]) for row in done.json]
    assert rows == [("celery", "celery"), ("video", "video"), ("other", "other")]


def test_workers_are_drawn(run: Run, app: StubApp) -> None:
    app.node("w1@test")

    drawn = run("graph", "workers").out

    assert drawn.startswith("digraph workers {")
    assert '"w1@test" -> "w1@test slot 2"' in drawn


def test_named_nodes_need_nobody(run: Run) -> None:
    assert run("graph", "workers", "nodes:a,b", "threads:1", "--json").json["workers"] == {
        "a": 1,
        "b": 1,
    }
    done = run("graph", "workers", "colour:red")
    assert (done.code, "none of nodes:A,B" in done.err) == (2, True)


def test_names_cannot_break_a_drawing() -> None:
    assert '"a\\"b\\\\" [shape=box]' in dot_of("x", {'a"b\\': 0})


def test_bootsteps_are_said_to_be_none(run: Run) -> None:
    done = run("graph", "bootsteps")

    assert (done.code, "one fixed order" in done.err) == (2, True)


def test_old_names_are_upgraded(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "celeryconfig.py"
    file.write_text("BROKER_URL = 'redis://'\nCELERYD_CONCURRENCY = 2\nMINE = 1\n")

    done = run("upgrade", "settings", str(file))

    assert done.code == 0
    assert file.read_text() == "broker_url = 'redis://'\nworker_concurrency = 2\nMINE = 1\n"
    assert (tmp_path / "celeryconfig.py.orig").read_text().startswith("BROKER_URL")
    assert (
        "does not seem to require any changes" in run("upgrade", "settings", str(file)).err.lower()
    )


@pytest.mark.parametrize("option", ["--django", "--compat"])
def test_upgraded_names_may_have_a_prefix(run: Run, tmp_path: Path, option: str) -> None:
    file = tmp_path / "settings.py"
    file.write_text("CELERY_TASK_RESULT_EXPIRES = 5\n")

    assert run("upgrade", "settings", option, "--no-backup", str(file)).code == 0
    assert file.read_text() == "CELERY_RESULT_EXPIRES = 5\n"
    assert not (tmp_path / "settings.py.orig").exists()


def test_parts_of_words_are_left_alone() -> None:
    assert upgraded_text("MY_BROKER_URL = BROKER_URLS", is_prefixed=False)[1] == {}


def test_shell_has_app_and_tasks(tmp_path: Path) -> None:
    (tmp_path / "proj.py").write_text(
        "from tqconsole.engine import Celery\napp = Celery('proj', broker='memory://')\n"
        "@app.task\ndef add(x, y): return x + y\n"
    )

    def typed(text: str, *options: str) -> str:
        command = [sys.executable, "-m", "tqconsole", "-A", "proj", "shell", "--python", *options]
        done = subprocess.run(
            command, input=text, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        return done.stdout + done.stderr

    assert "<Celery proj" in typed("app\n")
    assert "AND 5 IS IT" in typed("print('AND', add(2, 3), 'IS IT')\n")
    assert "NameError" in typed("add\n", "-T")


def urls(tmp_path: Path) -> tuple[str, str]:
    return f"sqlite:///{tmp_path}/a.db", f"sqlite:///{tmp_path}/b.db"


def test_messages_are_moved(run: Run, tmp_path: Path) -> None:
    source, destination = urls(tmp_path)
    with App(broker=source, set_as_current=False) as origin:
        for number in range(250):
            origin.send_task("add", (number, 1), queue="a" if number % 2 else "b")

    done = run("migrate", source, destination, "-a", "-Q", "a,b:c", "-t", "0.1")

    assert (done.code, done.out) == (0, "Migrated 250 messages.\n")
    with App(broker=destination, set_as_current=False) as target:
        depths = {name: target.broker.depth(name).ready_count for name in ("a", "c")}
        assert depths == {"a": 125, "c": 125}
    with App(broker=source, set_as_current=False) as origin:
        assert origin.broker.depth("a").ready_count == 0


def test_messages_are_copied_without_ack(run: Run, tmp_path: Path) -> None:
    source, destination = urls(tmp_path)
    with App(broker=source, set_as_current=False) as origin:
        origin.send_many([("add", (1, 1)), ("mul", (1, 1)), ("add", (2, 2))])

    done = run("migrate", source, destination, "-T", "add", "-n", "1", "-t", "0.1", "--json")

    assert done.json == {"migrated": 1}
    with App(broker=source, set_as_current=False) as origin:
        assert origin.broker.depth("celery").ready_count == 3


def test_migrating_what_cannot_be_is_refused(run: Run, tmp_path: Path) -> None:
    source, destination = urls(tmp_path)

    assert "same broker" in run("migrate", source, source).err
    assert "--forever needs -a" in run("migrate", source, destination, "-F").err
    assert "No such transport" in run("migrate", "nosuch://x", destination).err


def test_amqp_speaks_to_a_queue(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/queue.db"
    App(broker=url, set_as_current=False).broker.connect()

    def amqp(*words: str, text: str = "") -> str:
        command = [sys.executable, "-m", "tqconsole", "-b", url, "amqp", *words]
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    assert "queue:q1 messages:0" in amqp("queue.declare", "q1", "no", "yes", "no")
    assert "ok." in amqp("basic.publish", "hello", "", "q1")
    told = amqp("repl", text="basic.get q1\nbasic.ack 1\nnonsense\nqueue.purge q1\n\n")
    assert "hello" in told
    assert "nonsense is no command" in told
    assert "neither yes nor no" in amqp("queue.declare", "q1", "perhaps")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_verbs_and_options(shell: str) -> None:
    import os

    def asked(**environ: str) -> str:
        command = [sys.executable, "-c", "from tqconsole.cli.main import main; main([])"]
        return subprocess.run(
            command, env={**os.environ, **environ}, capture_output=True, text=True, check=False
        ).stdout

    assert "_tqconsole_completion" in asked(_TQCONSOLE_COMPLETE=f"{shell}_source")
    # fish hands over the word itself, the others its number.
    words = {"COMP_WORDS": "tqconsole wor", "COMP_CWORD": "wor" if shell == "fish" else "1"}
    assert "worker" in asked(_TQCONSOLE_COMPLETE=f"{shell}_complete", **words)


def test_loaders_are_celerys_two_or_none(run: Run) -> None:
    assert run("report", "--loader", "app").code == 0
    done = run("report", "--loader", "proj.loader:Mine")
    assert (done.code, "there are no loaders here" in done.err) == (2, True)
