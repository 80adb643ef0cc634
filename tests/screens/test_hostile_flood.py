"""A hundred thousand hostile strings in the fields of events, and every byte the terminal gets."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.terminal.pty_console import PtyConsole
from tqconsole.core.ingest import Arrived
from tqconsole.core.recording import Recorder

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
STRING_COUNT = 100_000
AT = 1_800_000_000.0
#: Tasks, and heartbeats, in a batch of events.
BATCH_COUNT = 100
PIECES = (
    *(
        "\x1b[31m",
        "\x1b]0;pwned\x07",
        "\x1b[2J",
        "\x1b[?1049l",
        "\x1bP1$r",
        "\x9b31m",
        "\x9d0;p\x9c",
    ),
    *(
        "\u202e",
        "\u2066",
        "\u200b",
        "\ufeff",
        "\ud800",
        "\udfff",
        "\x00",
        "\x08",
        "\x7f",
        "\r",
        "\n",
    ),
    *("[/]", "[bold]", "[@click=app.quit]x[/]", "[", "\\", "{}", "%s", "$error", "'", '"'),
    *("日本", "e\u0301\u0301\u0301", "👩\u200d👩", "\U000e0041", "x", "abc", " ", "\t"),
)
#: What of theirs must never be among the bytes: nothing of ours contains it.
FORBIDDEN = (
    *(b"pwned\x07", b"\x1b]0;pwned", b"\x1bP1$r", b"\x07", b"\x00", b"\x08", b"\x7f"),
    *(text.encode() for text in ("\x9b", "\x9d", "\x9c", "\u202e", "\u2066", "\u200b", "\ufeff")),
    "\U000e0041".encode(),
)
#: The main screens, an entry opened on each that has some, and help: keys, and what they bring.
STEPS = (
    *((b"\r", b"Timeline"), (b"q", b"following")),
    *((b"3", b"BUSY"), (b"\r", b"Reserved"), (b"q", b"BUSY")),
    *((b"4", b"UNACK"), (b"\r", b"Dead letters"), (b"q", b"UNACK")),
    *((b"5", b"TASK TYPE"), (b"\r", b"following")),
    *((b"7", b"BEGUN BY"), (b"\r", b"Gantt"), (b"q", b"BEGUN BY")),
    *((b"8", b"EVENT"), (b"\r", b"esc close"), (b"q", b"EVENT")),
    *((b"9", b"OUTCOME"), (b"?", b"esc closes"), (b"\x1b", b"OUTCOME")),
    (b"1", b"Needs attention"),
)


def events(rng: random.Random) -> Iterator[Arrived]:
    """Yield batches whose every text is hostile, one a second, until there were enough."""
    count, now_at = 0, AT

    def text() -> str:
        nonlocal count
        count += 1
        return "".join(rng.choices(PIECES, k=rng.randint(1, 6)))

    while count < STRING_COUNT:
        batch: list[dict[str, Any]] = []
        for _ in range(BATCH_COUNT):
            origin = {"uuid": text() + str(count), "hostname": text(), "timestamp": now_at}
            call = {name: text() for name in ("name", "args", "kwargs", "root_id", "parent_id")}
            call |= {name: text() for name in ("queue", "eta", "expires", "routing_key")}
            batch.append({**origin, **call, "type": "task-sent"})
            batch.append({**origin, **call, "type": "task-received"})
            ending = {"exception": text(), "traceback": text() + "\n" + text()}
            batch.append({**origin, **ending, "type": "task-failed"})
            batch.append({"type": "worker-heartbeat", "timestamp": now_at, "hostname": text(),
                          "sw_ident": text(), "sw_ver": text(), "sw_sys": text()})  # fmt: skip
        yield Arrived(now_at, batch)
        # What is counted and summed up is looked at once a second.
        now_at += 1.0


def test_no_byte_of_theirs_reaches_the_terminal(tmp_path: Path) -> None:
    recording = tmp_path / "hostile.tqrec"
    recorder = Recorder(recording, broker_url="\x1b]0;pwned\x07", context="\u202e")
    recorder.start(AT)
    task_count = 0
    for arrived in events(random.Random(1)):
        recorder.note_events(arrived)
        task_count += BATCH_COUNT
    recorder.stop()
    assert recorder.note == ""

    command = ["-m", "tqconsole", "--replay", str(recording), "--speed", "10000"]
    with closing(PtyConsole(command, {"LANG": "C.UTF-8"}, size=(120, 36))) as console:
        console.until(b"REPLAY")
        console.press(b"2", f"{task_count:,} of {task_count:,}".encode())
        for key, shown in STEPS:
            console.press(key, shown)
        console.press(b"\x11", b"\x1b[?1049l")
        code = console.ended()
        while console.read():
            pass

    # The shape of the mouse pointer is Textual's own word, with a bell at its end.
    said = re.sub(rb"\x1b]22;\w+\x07", b"", console.written)
    assert code == 0
    assert [sign for sign in FORBIDDEN if sign in said] == []
    assert said.count(b"\x1b[?1049l") == 1, "only the console's own end leaves the full screen"
