"""What `worker` can be told beside what every test tells it: with real workers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from worker_process import PATIENCE_S, Site, eventually

from tqconsole.engine.protocol.event import decode_events, event_mailbox
from tqconsole.engine.routing import worker_direct


def test_included_modules_bring_their_tasks(site: Site) -> None:
    site.worker(pool="solo", include=["functional_extra"])

    assert site.call("extra").get(timeout=PATIENCE_S) == "included"


def test_a_worker_is_silent_and_alone_when_told_to(site: Site) -> None:
    worker = site.worker(
        pool="solo", without_heartbeat=True, without_mingle=True, without_gossip=True
    )
    feed = site.app.broker.subscribe(event_mailbox("listener"), ["#"])
    site.app.control.enable_events(reply=True, timeout=10)

    for number in range(3):
        site.call("add", number, 1).get(timeout=PATIENCE_S)
    seen: list[str] = []
    while seen.count("task-succeeded") < 3:
        heard = feed.receive(PATIENCE_S)
        assert heard, seen
        seen += [event["type"] for one in heard for event in decode_events(one.message)]
    feed.close()

    assert "worker-heartbeat" not in seen
    assert site.ask("ping") == {"ok": "pong"}
    assert worker.process.poll() is None


def test_heartbeats_come_at_the_interval_asked_for(site: Site) -> None:
    site.worker(pool="solo", heartbeat_interval=0.05)

    freqs: list[float] = []
    receiver = site.app.events.Receiver(
        handlers={"worker-heartbeat": lambda event: freqs.append(event["freq"])}
    )
    for _ in receiver.itercapture(timeout=PATIENCE_S):
        if freqs.count(0.05) >= 3:
            break

    assert freqs.count(0.05) >= 3


def test_without_remote_control_nobody_answers(site: Site) -> None:
    site.worker(pool="solo", conf={"worker_enable_remote_control": False})

    assert site.app.control.ping(timeout=0.5) == []
    assert site.call("add", 1, 1).get(timeout=PATIENCE_S) == 2


def test_processes_say_who_they_are(site: Site) -> None:
    worker = site.worker(pool="prefork")

    # What `ps -o comm` shows. The whole command line needs setproctitle, which is installed or not.
    def names() -> set[str]:
        command = ["ps", "--no-headers", "-o", "comm", "-g", str(worker.process.pid)]
        found = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        return set(found.split())

    assert eventually(lambda: "tq-w1@test" in names())
    assert eventually(lambda: any(name.startswith("ForkPoolWorker") for name in names())), names()


def test_a_pool_is_restarted_where_that_is_allowed(site: Site) -> None:
    site.worker(pool="prefork", conf={"worker_pool_restarts": True})
    before = site.ask("stats")["pool"]["processes"]

    assert site.ask("pool_restart") == {"ok": "reload started"}

    assert eventually(lambda: not set(before) & set(site.ask("stats")["pool"]["processes"]))
    assert site.call("add", 2, 2).get(timeout=PATIENCE_S) == 4


def test_a_worker_has_a_queue_of_its_own(site: Site) -> None:
    site.worker(pool="solo", conf={"worker_direct": True})

    result = site.call("add", 3, 4, queue=worker_direct("w1@test"))

    assert result.get(timeout=PATIENCE_S) == 7
    assert "w1@test.dq2" in [queue["name"] for queue in site.ask("active_queues")]


def test_what_means_nothing_is_said_at_the_start(site: Site) -> None:
    worker = site.worker(pool="solo", conf={"worker_lost_wait": 3.0})

    assert worker.says("worker_lost_wait = 3.0 means nothing here: the death of a child")


def test_a_cold_stop_tells_of_what_it_cancelled(site: Site) -> None:
    worker = site.worker(pool="prefork", task_events=True)
    seen: list[str] = []
    receiver = site.app.events.Receiver(handlers={"*": lambda event: seen.append(event["type"])})
    capture = receiver.itercapture(timeout=PATIENCE_S)
    next(capture)
    site.call("hold_late", str(site.ledger), str(site.folder / "gate"))
    assert eventually(site.lines)

    worker.signal(signal.SIGQUIT)

    assert worker.wait() == 1
    while "worker-offline" not in seen:
        next(capture)
    assert "task-cancelled" in seen


def test_a_lost_run_is_tried_again_where_asked(site: Site) -> None:
    site.worker(
        pool="prefork", task_events=True,
        conf={
            "task_retry_on_worker_lost": True,
            "task_annotations": {"die_first": {"default_retry_delay": 0}},
        },
    )  # fmt: skip

    result = site.call("die_first", str(site.ledger))

    assert result.get(timeout=PATIENCE_S) == 1
    assert site.lines() == ["die_first 0", "die_first 1"]


CAMERA = """
from tqconsole.engine.events.snapshot import Polaroid

class Camera(Polaroid):
    clear_after = True

    def on_shutter(self, state):
        with open("pictures", "a") as pictures:
            print(",".join(state.workers), state.event_count, file=pictures)
"""


def test_a_camera_gets_pictures_of_the_cluster(site: Site) -> None:
    site.worker(pool="solo")
    (site.folder / "cam.py").write_text(CAMERA)
    command = [sys.executable, "-m", "tqconsole", "-b", site.url, "events", "-c", "cam:Camera"]
    environ = {**os.environ, "PYTHONPATH": f"{site.folder}:{os.environ.get('PYTHONPATH', '')}"}
    camera = subprocess.Popen(
        [*command, "-F", "0.05"], cwd=site.folder, stderr=subprocess.PIPE, text=True, env=environ
    )
    pictures = site.folder / "pictures"
    try:
        assert eventually(lambda: pictures.exists() and "w1@test" in pictures.read_text())
    finally:
        camera.terminate()
        _, told = camera.communicate(timeout=PATIENCE_S)
    assert camera.returncode == 0, told


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["-c", "nosuch:Camera"], "No module named 'nosuch'"),
        (["-c", "cam:Camera", "-r", "often"], "'often' is no rate: write it as 10/s"),
        (["--detach"], "--detach goes with --camera"),
    ],
)
def test_mistakes_about_cameras_are_named(tmp_path: Path, words: list[str], text: str) -> None:
    (tmp_path / "cam.py").write_text(CAMERA)
    url = f"sqlite:///{tmp_path}/queue.db"
    (tmp_path / "queue.db").touch()
    command = [sys.executable, "-m", "tqconsole", "-b", url, "events", *words]
    environ = {**os.environ, "PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"}

    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False, env=environ
    )

    assert done.returncode == 2, done.stderr
    assert text in done.stderr


def test_a_task_may_have_processes_of_its_own(site: Site) -> None:
    site.worker(pool="prefork")

    children = set(site.ask("stats")["pool"]["processes"])

    assert site.call("spawn").get(timeout=PATIENCE_S) in children


@pytest.mark.parametrize("redirects", [True, False])
def test_processes_of_a_worker_are_told_how_it_logs(site: Site, redirects: bool) -> None:
    site.starting_worker(
        pool="prefork",
        logfile=str(site.folder / "own.log"),
        include=["functional_extra"],
        conf={"worker_redirect_stdouts": redirects, "worker_redirect_stdouts_level": "ERROR"},
    )

    told = site.call("told_of_logs").get(timeout=PATIENCE_S)

    assert told == {
        "CELERY_LOG_LEVEL": "20",
        "CELERY_LOG_FILE": str(site.folder / "own.log"),
        "CELERY_LOG_REDIRECT": "1" if redirects else "",
        "CELERY_LOG_REDIRECT_LEVEL": "ERROR" if redirects else "",
    }
