"""Ending work from the shell: `control --terminate` by stamp, and `result --abort`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from stub_cluster import Done, StubApp

from tqconsole.cli.main import main
from tqconsole.engine import App
from tqconsole.engine.protocol.result import ResultRecord, encode_record
from tqconsole.engine.protocol.transfer import ResultWrite

Run = Callable[..., Done]


def test_what_runs_with_a_stamp_can_be_killed_with_it(app: StubApp, run: Run) -> None:
    node = app.node("w1@lab", revoke_by_stamped_headers={"ok": "done"})

    done = run("control", "revoke_by_stamped_headers", "batch=7", "--terminate", "SIGKILL")

    assert done.code == 0
    (asked,) = [arguments for method, arguments in node.requests if "stamped" in method]
    assert asked == {"headers": ["batch=7"], "terminate": True, "signal": "SIGKILL"}


def test_other_commands_kill_nothing(app: StubApp, run: Run) -> None:
    app.node("w1@lab")

    done = run("control", "enable_events", "--terminate", "SIGKILL")

    assert done.code == 2
    assert "--terminate belongs to revoke and revoke_by_stamped_headers" in done.err


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/queue.db"


def test_a_call_is_asked_to_stop(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    with App("aborting", broker=url, backend=url, set_as_current=False) as app:
        app.send_task("long.run", task_id="t1")

        assert main(["result", "t1", "--abort", "-b", url]) == 0
        assert "asked to stop" in capsys.readouterr().out
        assert app.AsyncResult("t1").state == "ABORTED"


def test_a_call_that_has_ended_is_not(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    with App("aborting", broker=url, backend=url, set_as_current=False) as app:
        record = encode_record(ResultRecord("t1", "SUCCESS", 4))
        app.backend.store([ResultWrite("t1", "SUCCESS", record)])

        assert main(["result", "t1", "--abort", "-b", url]) == 1
        assert "it has ended already: SUCCESS" in capsys.readouterr().err
        assert app.AsyncResult("t1").result == 4
