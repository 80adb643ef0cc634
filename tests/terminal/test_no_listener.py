"""The console opens no port: nobody can reach a cluster through it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.terminal.pty_console import PtyConsole

pytestmark = pytest.mark.slow

#: State of a socket that listens, in the kernel's tables.
LISTENS = "0A"


def listening(pid: int) -> list[str]:
    """Return the TCP sockets of a process that listen."""
    links = Path(f"/proc/{pid}/fd").iterdir()
    inodes = {str(link.readlink()).removeprefix("socket:[").rstrip("]") for link in links}
    lines = [
        line
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]
    ]
    return [line for line in lines if line.split()[9] in inodes and line.split()[3] == LISTENS]


def test_the_console_listens_to_nobody(tmp_path: Path) -> None:
    console = PtyConsole(["-m", "tqconsole", "-b", f"sqlite://{tmp_path}/queue.db"])
    try:
        console.until(b"LIVE")

        assert listening(console.process.pid) == []
    finally:
        console.close()
