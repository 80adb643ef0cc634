"""`worker -D` and its company, HUP and a soft shutdown: with real processes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from worker_process import PATIENCE_S, Site, eventually

from tqconsole.engine.exceptions import ImproperlyConfigured
from tqconsole.engine.worker.privileges import Privileges, privileges_of


class Daemon:
    """`tqconsole worker` in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pidfile = folder / "w1.pid"
        self.log = folder / "w1.log"
        (folder / "proj.py").write_text(
            "from tqconsole.engine import Celery\n"
            f"app = Celery('proj', broker='sqlite:///{folder}/queue.db')\n"
            "@app.task\ndef add(x, y): return x + y\n"
        )

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "tqconsole", "-A", "proj", "worker", "-P", "solo", *words],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    def detach(self, *words: str) -> subprocess.CompletedProcess[str]:
        where = ["--pidfile", str(self.pidfile), "-f", str(self.log), "-n", "w1@%h", "-l", "INFO"]
        return self.run("-D", *where, *words)

    @property
    def pid(self) -> int:
        assert eventually(self.pidfile.exists)
        return int(eventually(lambda: self.pidfile.read_text().strip()))

    def says(self, text: str, count: int = 1) -> bool:
        return bool(
            eventually(lambda: self.log.exists() and self.log.read_text().count(text) >= count)
        )

    def stop(self) -> None:
        if self.pidfile.exists():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)
            assert eventually(lambda: not self.pidfile.exists())


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    daemon = Daemon(tmp_path)
    yield daemon
    daemon.stop()


def test_detached_worker_works_and_holds_its_pidfile(daemon: Daemon) -> None:
    done = daemon.detach("--umask", "027")

    assert done.returncode == 0, done.stderr
    assert daemon.says("ready.")
    assert os.getsid(daemon.pid) == daemon.pid
    second = daemon.detach()
    assert second.returncode == 73
    assert f"held by process {daemon.pid}" in second.stderr


def test_detached_worker_that_cannot_start_is_told(daemon: Daemon) -> None:
    done = daemon.detach("-P", "nosuchpool")

    assert done.returncode != 0
    assert "No such pool" in done.stderr


def test_hup_starts_the_worker_anew(daemon: Daemon) -> None:
    daemon.detach()
    assert daemon.says("ready.")
    pid = daemon.pid

    os.kill(pid, signal.SIGHUP)

    assert daemon.says("ready.", 2), daemon.log.read_text()
    assert daemon.pid == pid


@pytest.mark.parametrize(
    ("user", "group", "umask", "words"),
    [
        ("nosuchuser", None, None, "--uid nosuchuser"),
        (None, "nosuchgroup", None, "--gid nosuchgroup"),
        (None, None, "888", "--umask 888"),
    ],
)
def test_wrong_privileges_are_named(
    user: str | None, group: str | None, umask: str | None, words: str
) -> None:
    with pytest.raises(ImproperlyConfigured, match=words):
        privileges_of(user, group, umask)


def test_a_user_brings_its_group_along() -> None:
    assert privileges_of("root", None, "022") == Privileges(0, 0, 0o022)


def test_a_soft_shutdown_waits_before_it_is_cold(site: Site) -> None:
    worker = site.worker(pool="prefork", conf={"worker_soft_shutdown_timeout": 60.0})
    gate = site.folder / "gate"
    result = site.call("hold", str(site.ledger), str(gate))
    assert eventually(site.lines)

    worker.signal(signal.SIGQUIT)
    assert worker.says("Waiting 60.0 seconds for what runs")
    gate.touch()

    assert worker.wait() == 0
    assert result.get(timeout=PATIENCE_S) == "released"


def test_a_soft_shutdown_ends(site: Site) -> None:
    worker = site.worker(pool="prefork", conf={"worker_soft_shutdown_timeout": 0.1})
    site.call("hold_late", str(site.ledger), str(site.folder / "gate"))
    assert eventually(site.lines)

    worker.signal(signal.SIGQUIT)

    assert worker.wait() == 1
