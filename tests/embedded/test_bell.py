from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tqconsole.engine.embedded.bell import (
    Bell,
    Liveness,
    Ringer,
    bells_folder,
    liveness_of,
    reply_address,
    reply_name,
)
from tqconsole.engine.exceptions import ImproperlyConfigured


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a path short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="tq") as made:
        yield Path(made)


@pytest.mark.parametrize("kind", ["auto", "udp"])
def test_ring_is_kept_until_it_is_drained(folder: Path, kind: str) -> None:
    bell = Bell(folder, "c1", kind)
    ringer = Ringer()

    ringer.ring([bell.address, bell.address])

    assert bell.wait(5)
    assert bell.wait(0)
    assert bell.drain()
    assert not bell.drain()
    assert not bell.wait(0)
    bell.close()
    ringer.close()


def test_full_bell_costs_the_ringer_nothing(folder: Path) -> None:
    bell = Bell(folder, "c1")
    ringer = Ringer()

    ringer.ring([bell.address] * 5000)

    assert bell.drain()
    bell.close()


@pytest.mark.parametrize(
    "address", ["unix:/nowhere/x", "udp:none", "udp:1", "poll:", "reply:/nowhere/x", "", "a:b:c"]
)
def test_ringing_where_nobody_is_does_no_harm(address: str) -> None:
    Ringer().ring([address])


@pytest.mark.parametrize("kind", ["auto", "udp"])
def test_caller_is_rung_by_what_the_message_says(folder: Path, kind: str) -> None:
    bell = Bell(folder, reply_name("caller"), kind)

    Ringer().ring([reply_address(str(folder), "caller")])

    assert bell.wait(5)
    bell.close()


@pytest.mark.parametrize("reply_to", ["../../etc/passwd", "/dev/null", "a" * 5000, "\ud800", "\0"])
def test_hostile_reply_address_stays_in_the_folder(reply_to: str) -> None:
    kind, _, path = reply_address("/bells", reply_to).partition(":")

    assert kind == "reply"
    assert Path(path).parent == Path("/bells")
    assert len(Path(path).name) == 17


def test_living_bell_is_told_from_a_dead_one(folder: Path) -> None:
    bell = Bell(folder, "c1")
    code = (
        "import sys, pathlib; from tqconsole.engine.embedded.bell import Bell;"
        "bell = Bell(pathlib.Path(sys.argv[1]), 'c2'); print(bell.address, flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        other = process.stdout.readline().strip()
        assert liveness_of(other) is Liveness.ALIVE
        process.kill()
        process.wait()

    assert liveness_of(other) is Liveness.DEAD
    assert liveness_of(bell.address) is Liveness.ALIVE
    assert not bell.drain()
    bell.close()
    assert liveness_of(bell.address) is Liveness.UNKNOWN
    assert liveness_of("udp:1") is Liveness.UNKNOWN
    assert liveness_of("poll:") is Liveness.UNKNOWN


def test_dead_bells_place_can_be_taken(folder: Path) -> None:
    left_behind = Bell(folder, "c1")
    left_behind.abandon()

    bell = Bell(folder, "c1")

    assert liveness_of(bell.address) is Liveness.ALIVE
    bell.close()


def test_living_bells_place_cannot_be_taken(folder: Path) -> None:
    bell = Bell(folder, "c1")

    with pytest.raises(OSError, match="in use"):
        Bell(folder, "c1")

    bell.close()


def test_long_path_moves_to_a_short_private_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    deep = tmp_path / ("d" * 120)

    folder = bells_folder(str(deep / "queue.db"))

    assert len(os.fsencode(folder)) < 85
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert folder == bells_folder(str(deep / "queue.db"))
    folder.rmdir()


def test_folder_open_to_others_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path / "none"))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    trap = tmp_path / "trap"
    trap.mkdir()
    trap.chmod(0o777)

    with pytest.raises(ImproperlyConfigured, match="bell=poll"):
        bells_folder(str(tmp_path / ("d" * 120) / "queue.db"), known=str(trap))
