"""`result --tree`: the calls that a call has brought about."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tqconsole.cli.main import main
from tqconsole.engine import App, chord
from tqconsole.engine.canvas import group
from tqconsole.engine.protocol.result import ResultRecord, encode_record
from tqconsole.engine.protocol.transfer import ResultWrite


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/queue.db"


@pytest.fixture
def app(url: str) -> App:
    return App("tree", broker=url, backend=url, set_as_current=False)


def finish(app: App, task_id: str, value: object, children: list[object]) -> None:
    record = ResultRecord(task_id, "SUCCESS", value, children=children)
    app.backend.store([ResultWrite(task_id, "SUCCESS", encode_record(record))])


def tell_of_a_chord(app: App) -> None:
    """Leave the records of `first | chord([a, b], body)`, whose body has not ended."""
    add = app.task(name="add")(lambda x: x)
    parts = [add.s(1).set(task_id="a"), add.s(2).set(task_id="b")]
    sig = add.s(0).set(task_id="first") | chord(group(parts), add.s().set(task_id="body"))
    result = sig.freeze()
    result.parent.id = "header"
    finish(app, "first", 0, [result.as_tuple()])
    finish(app, "a", 1, [])
    finish(app, "b", 2, [])


def test_a_chord_is_seen_whole(app: App, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    tell_of_a_chord(app)

    assert main(["result", "first", "--tree", "-b", url]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "first  SUCCESS  0",
        "├─ group header  SUCCESS  2/2",
        "│  ├─ a  SUCCESS  1",
        "│  └─ b  SUCCESS  2",
        "└─ body  PENDING",
    ]


def test_it_is_json_too(app: App, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    tell_of_a_chord(app)

    assert main(["result", "first", "--tree", "--json", "-b", url]) == 0
    tree = json.loads(capsys.readouterr().out)
    header, body = tree["children"]
    assert (header["kind"], [child["id"] for child in header["children"]]) == ("group", ["a", "b"])
    assert (body["state"], body["children"]) == ("PENDING", [])
