"""A hundred thousand hostile strings in the fields of events, and every byte the terminal gets."""

from __future__ import annotations

import fcntl
import os
import pty
import random
import re
import select
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tqconsole.core.ingest import Arrived
from tqconsole.core.recording import Recorder

pytestmark = pytest.mark.slow
STRING_COUNT = 100_000
AT = 1_800_000_000.0
#: Seconds without a byte after which a screen stands still, until a key may have drawn something,
#: and until the console must have begun.
QUIET_S, KEY_S, START_S = 0.3, 3.0, 60.0
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
#: The main screens, an entry opened on each, help and a filter.
KEYS = (
    "2",
    "\r",
    "q",
    "3",
    "\r",
    "q",
    "4",
    "\r",
    "q",
    "5",
    "7",
    "8",
    "\r",
    "q",
    "9",
    "?",
    "\x1b",
    "1",
)


def events(rng: random.Random) -> Iterator[list[dict[str, Any]]]:
    """Yield batches whose every text is hostile, until there were enough."""
    count = 0

    def text() -> str:
        nonlocal count
        count += 1
        return "".join(rng.choices(PIECES, k=rng.randint(1, 6)))

    while count < STRING_COUNT:
        batch = []
        for _ in range(100):
            origin = {"uuid": text() + str(count), "hostname": text(), "timestamp": AT}
            call = {name: text() for name in ("name", "args", "kwargs", "root_id", "parent_id")}
            call |= {name: text() for name in ("queue", "eta", "expires", "routing_key")}
            batch.append({**origin, **call, "type": "task-sent"})
            batch.append({**origin, **call, "type": "task-received"})
            ending = {"exception": text(), "traceback": text() + "\n" + text()}
            batch.append({**origin, **ending, "type": "task-failed"})
            batch.append({"type": "worker-heartbeat", "timestamp": AT, "hostname": text(),
                          "sw_ident": text(), "sw_ver": text(), "sw_sys": text()})  # fmt: skip
        yield batch


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    recorder = Recorder(tmp_path / "hostile.tqrec", broker_url="\x1b]0;pwned\x07", context="\u202e")
    recorder.start(AT)
    for batch in events(random.Random(1)):
        recorder.note_events(Arrived(AT, batch))
    recorder.stop()
    assert recorder.note == ""
    return tmp_path / "hostile.tqrec"


def quiet(terminal: int, patience_s: float = KEY_S) -> bytes:
    """Return what a terminal gets until it gets nothing for a while; not every key draws."""
    said = b""
    while select.select([terminal], [], [], QUIET_S if said else patience_s)[0]:
        try:
            said += os.read(terminal, 65536)
        except OSError:  # as Linux tells that the program has ended
            break
    return said


def test_no_byte_of_theirs_reaches_the_terminal(recording: Path) -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 36, 120, 0, 0))
    console = subprocess.Popen(
        [sys.executable, "-m", "tqconsole", "--replay", str(recording), "--speed", "10000"],
        env={**os.environ, "TERM": "xterm-256color", "LANG": "C.UTF-8"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        said = quiet(ours, START_S)
        for key in KEYS:
            os.write(ours, key.encode())
            said += quiet(ours)
            assert console.poll() is None, said[-2000:]
        os.write(ours, b"\x11")
        said += quiet(ours)
        code = console.wait(timeout=START_S)
    finally:
        console.kill()
        console.wait()
        os.close(ours)

    # The shape of the mouse pointer is Textual's own word, with a bell at its end.
    said = re.sub(rb"\x1b]22;\w+\x07", b"", said)
    assert code == 0
    assert [sign for sign in FORBIDDEN if sign in said] == []
    assert said.count(b"\x1b[?1049l") == 1, "only the console's own end leaves the full screen"
    for title in (b"Needs", b"NAME", b"WORKER", b"QUEUE", b"EVENT"):
        assert title in said
