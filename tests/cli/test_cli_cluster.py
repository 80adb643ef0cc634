"""The command line as people use it: a folder with nothing but a package, and several shells."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

#: One cluster for all: they belong to one process of the test runner.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("cli-cluster")]

TASKS = '''
import threading
from tqconsole.engine import Celery
from tqconsole.engine.control import inspect_command

app = Celery("proj")


@app.task
def add(x, y):
    return x + y


@app.task
def fail():
    raise ValueError("no luck")


@app.task
def slow(seconds):
    threading.Event().wait(seconds)


@inspect_command(signature="[N=1]", args=[("n", int)])
def double(state, n=1):
    """Twice as much."""
    return {"ok": 2 * n}
'''
#: The machine that runs the tests may be busy.
PATIENCE_S = 60

Shell = Callable[..., subprocess.CompletedProcess[str]]


def _environment(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if "BROKER" not in name}
    return {**kept, "XDG_STATE_HOME": str(folder / "state"), "PYTHONUNBUFFERED": "1"}


def _start(folder: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tqconsole", *words],
        cwd=folder,
        env=_environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _until_ready(worker: subprocess.Popen[str]) -> None:
    assert worker.stderr is not None
    heard = []
    for line in worker.stderr:
        heard.append(line)
        if "ready." in line:
            return
    worker.communicate(timeout=PATIENCE_S)
    pytest.fail("the worker ended before it was ready:\n" + "".join(heard))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("shell")
    (place / "proj").mkdir()
    (place / "proj" / "__init__.py").write_text("")
    (place / "proj" / "celery.py").write_text("from proj.tasks import app\n")
    (place / "proj" / "tasks.py").write_text(TASKS)
    return place


@pytest.fixture(scope="module")
def worker(folder: Path) -> Iterator[subprocess.Popen[str]]:
    process = _start(folder, "-A", "proj", "worker", "-n", "w1", "-c", "2", "-l", "INFO")
    _until_ready(process)
    yield process
    process.terminate()
    process.communicate(timeout=PATIENCE_S)


@pytest.fixture(scope="module")
def shell(folder: Path, worker: subprocess.Popen[str]) -> Shell:
    def run(*words: str, **options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "tqconsole", *words],
            cwd=folder,
            env=_environment(folder) | options,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )

    return run


def _sent(shell: Shell, *words: str) -> str:
    done = shell("-q", "call", *words)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_call_and_its_result(shell: Shell) -> None:
    task_id = _sent(shell, "proj.tasks.add", "-a", "[2,2]")

    done = shell("result", task_id)

    assert (done.stdout, done.returncode) == ("4\n", 0)
    assert "outside any project" in done.stderr


def test_call_waits(shell: Shell) -> None:
    done = shell("-q", "call", "proj.tasks.add", "-a", '["a", "b"]', "--wait")

    assert done.stdout.splitlines()[1] == "ab"


def test_a_failure_is_told(shell: Shell) -> None:
    task_id = _sent(shell, "proj.tasks.fail")

    done = shell("-q", "result", task_id)

    assert (done.stdout, done.returncode) == ("", 1)
    assert done.stderr == "Error: FAILURE: ValueError('no luck')\n"
    assert 'raise ValueError("no luck")' in shell("-q", "result", task_id, "--traceback").stdout


def test_a_running_task_is_seen_and_killed(shell: Shell) -> None:
    task_id = _sent(shell, "proj.tasks.slow", "-a", "[60]")
    running: list[dict[str, object]] = []
    for _ in range(50):
        listed = json.loads(shell("inspect", "active", "--destination", "w1", "-j").stdout)
        running = next(iter(listed.values()))
        if running:
            break

    assert [one["id"] for one in running] == [task_id]
    done = shell("-q", "control", "terminate", "KILL", task_id)
    assert f"terminate: {task_id}" in done.stdout
    assert "REVOKED: TaskRevokedError('terminated')" in shell("result", task_id).stderr


def test_status_names_the_worker(shell: Shell) -> None:
    done = shell("status")

    assert done.stdout.startswith("->  w1@")
    assert done.stdout.endswith("\n1 node online.\n")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("proj.tasks.ad",), "Did you mean proj.tasks.add?"),
        (("proj.tasks.add", "-a", "[1]"), "missing a required argument: 'y'"),
        (("proj.tasks.add", "-a", "[1,2]", "--serializer", "nosuch"), "No such serializer"),
    ],
)
def test_what_cannot_run_is_not_sent(shell: Shell, words: tuple[str, ...], text: str) -> None:
    done = shell("-q", "call", *words)

    assert (done.stdout, done.returncode) == ("", 2)
    assert text in done.stderr
    assert done.stderr.count("\n") == 1


def test_commands_of_the_apps_own_are_known(shell: Shell) -> None:
    assert "        8\n" in shell("-A", "proj", "inspect", "double", "4").stdout
    assert "double" in shell("-A", "proj", "inspect", "--list").stdout
    assert shell("inspect", "double").returncode == 2


def test_a_global_option_after_the_verb_wins(shell: Shell, tmp_path: Path) -> None:
    elsewhere = f"sqlite:///{tmp_path}/other.db"
    shell("-b", elsewhere, "call", "proj.tasks.add", "-a", "[2, 2]")

    assert shell("status", "-b", elsewhere).returncode == 69
    done = shell("-b", elsewhere, "status", "--json")
    assert done.returncode == 69
    assert "w1@" in done.stderr, "it says where a worker lives"


@pytest.mark.parametrize("verb", ["status", "inspect ping", "result x", "dead list", "purge -f"])
def test_a_path_without_a_queue_is_told_and_not_made(
    shell: Shell, tmp_path: Path, verb: str
) -> None:
    elsewhere = f"sqlite:///{tmp_path}/made/other.db"

    done = shell("-q", "-b", elsewhere, *verb.split())

    assert done.returncode == 75
    assert f"There is no queue at {tmp_path}/made/other.db" in done.stderr
    assert "w1@" in done.stderr, "it says where a worker lives"
    assert list(tmp_path.iterdir()) == []


def test_results_of_another_store_need_no_queue(shell: Shell, tmp_path: Path) -> None:
    broker, store = f"sqlite:///{tmp_path}/none.db", f"sqlite:///{tmp_path}/results.db"

    done = shell("-b", broker, "--result-backend", store, "result", "x", "--timeout", "0")

    assert "There is no queue" not in done.stderr
    assert not (tmp_path / "none.db").exists()


def test_the_environment_names_app_and_broker(shell: Shell, tmp_path: Path) -> None:
    elsewhere = f"sqlite:///{tmp_path}/other.db"

    assert shell("report", TQCONSOLE_APP="proj").stdout.count("app      -> proj") == 1
    assert "$CELERY_BROKER_URL" in shell("status", CELERY_BROKER_URL=elsewhere).stderr


def test_a_broken_app_is_one_line(shell: Shell, folder: Path) -> None:
    (folder / "broken.py").write_text("def (\n")

    done = shell("-A", "broken", "status")

    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "broken.py:1" in done.stderr


def test_a_package_without_an_app_is_only_a_name(shell: Shell, folder: Path) -> None:
    (folder / "plain.py").write_text("x = 1\n")

    done = shell("call", "plain.task", "--force")

    assert done.returncode == 0, done.stderr


def test_a_misspelt_app_names_the_nearest(shell: Shell) -> None:
    done = shell("-A", "prj", "status")

    assert done.returncode == 2
    assert "Did you mean proj?" in done.stderr


def test_a_file_that_is_not_ours_is_left_alone(shell: Shell, tmp_path: Path) -> None:
    foreign = tmp_path / "notes.db"
    foreign.write_text("these are my notes")

    done = shell("-q", "call", "proj.tasks.add", "-a", "[1,2]", "-b", f"sqlite:///{foreign}")

    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert foreign.read_text() == "these are my notes"


def test_ctrl_c_is_130_without_a_trace(folder: Path, worker: object) -> None:
    dump = _start(folder, "-q", "events", "--dump")
    assert dump.stdout is not None
    dump.stdout.readline()

    dump.send_signal(signal.SIGINT)

    _, err = dump.communicate(timeout=PATIENCE_S)
    assert (dump.returncode, err.strip()) == (130, "")


def test_a_reader_that_leaves_is_no_trace(folder: Path, worker: object) -> None:
    dump = _start(folder, "-q", "events", "--json")
    assert dump.stdout is not None
    assert json.loads(dump.stdout.readline())["type"] == "worker-heartbeat"

    dump.stdout.close()

    assert dump.wait(timeout=PATIENCE_S) == 1
    assert dump.stderr is not None
    assert dump.stderr.read() == ""
    dump.stderr.close()


def test_a_worker_logs_json_and_obeys_shutdown(folder: Path, shell: Shell, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/queue.db"
    process = _start(
        folder,
        *("-A", "proj", "-b", url, "worker", "--json"),
        *("-n", "w2", "-l", "INFO", "-P", "solo"),
    )
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        if line.startswith("{"):
            lines.append(json.loads(line))
            if "ready." in line:
                break

    done = shell("-q", "-b", url, "control", "shutdown", "-d", "w2")

    assert "shutting down" in done.stdout
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    assert lines[-1]["level"] == "INFO"


def test_the_version_imports_nothing_else() -> None:
    code = (
        "import sys; before = set(sys.modules); from tqconsole.cli.main import main; "
        "main(['--version']); print(sorted(set(sys.modules) - before))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    version, modules = done.stdout.splitlines()
    assert version.startswith("tqconsole ")
    assert eval(modules) in (
        ["tqconsole", "tqconsole.cli", "tqconsole.cli.main"],
        ["collections.abc", "tqconsole", "tqconsole.cli", "tqconsole.cli.main"],
        ["__future__", "collections.abc", "tqconsole", "tqconsole.cli", "tqconsole.cli.main"],
        ["__future__", "tqconsole", "tqconsole.cli", "tqconsole.cli.main"],
    )


def test_top_prints_the_cluster_as_json(shell: Shell) -> None:
    done = shell("-q", "top", "-n", "1", "--json")

    page = json.loads(done.stdout)
    assert done.returncode == 0
    assert page["totals"]["workers_online"] == 1
    assert page["workers"][0]["name"].startswith("w1@")


def test_watch_ends_with_3_when_it_holds_and_with_0_when_it_does_not(shell: Shell) -> None:
    held = shell("-q", "watch", "workers < 1 or workers >= 1")
    waited = shell("-q", "watch", "workers > 5", "--timeout", "0")

    assert (held.stdout, held.returncode) == ("workers >= 1 (1)\n", 3)
    assert (waited.stdout, waited.returncode) == ("", 0)


def test_watch_refuses_what_it_cannot_understand(shell: Shell) -> None:
    done = shell("-q", "watch", "mood > 3")

    assert done.returncode == 2
    assert "no figure is called 'mood'" in done.stderr
