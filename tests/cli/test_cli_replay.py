"""`--record` and `--replay` on the command line, and a replay without a terminal."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from stub_cluster import Done

from tqconsole.cli.main import main

Run = Callable[..., Done]
AT = 1_800_000_000.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    origin = {"hostname": "w1@h", "uuid": "t1"}
    events = [
        {"type": "worker-heartbeat", "hostname": "w1@h", "timestamp": AT, "freq": 2},
        {**origin, "type": "task-received", "timestamp": AT, "name": "proj.add"},
        {**origin, "type": "task-started", "timestamp": AT + 1},
        {**origin, "type": "task-failed", "timestamp": AT + 2, "exception": "OSError('no')"},
    ]
    path = tmp_path / "events.ndjson"
    path.write_text("".join(json.dumps(event) + "\n" for event in events))
    return path


def test_the_last_page_of_a_replay_is_printed(run: Run, path: Path) -> None:
    done = run("--replay", str(path), "--once")

    assert done.code == 0
    assert "workers 1/1" in done.out
    assert "proj.add" in done.out


def test_the_last_page_is_an_object(run: Run, path: Path) -> None:
    found = run("--replay", str(path), "--json").json

    assert found["link"] == "replay"
    assert found["now_at"] == AT + 2
    assert [kind["name"] for kind in found["types"]] == ["proj.add"]


def test_a_replay_asks_no_broker(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TQCONSOLE_BROKER", "redis://127.0.0.1:1/0")

    assert main(["--replay", str(path), "--once"]) == 0


def test_what_is_no_recording_is_told(run: Run, tmp_path: Path) -> None:
    (tmp_path / "no.txt").write_text("hello")

    done = run("--replay", str(tmp_path / "no.txt"), "--once")

    assert done.code == 1
    assert "is no recording" in done.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--speed 2", "--speed goes with --replay"),
        ("--record new.tqrec --once", "tqconsole events --json"),
        ("--record new.tqrec --replay {path}", "recorded already"),
        ("--replay {path} -b memory://x", "leave out -b"),
        ("--replay {path} --speed 0", "--speed"),
        ("status --record new.tqrec", "No such option"),
    ],
)
def test_what_would_be_ignored_is_refused(run: Run, path: Path, words: str, said: str) -> None:
    done = run(*words.format(path=path).split())

    assert done.code == 2
    assert said in done.err
