"""The worker's small parts: names, files, options, banner, autoscale."""

from __future__ import annotations

import os
import signal
import stat
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from tqconsole.engine.brokers import open_broker
from tqconsole.engine.exceptions import ImproperlyConfigured
from tqconsole.engine.protocol.transfer import ExchangeSpec, QueueSpec
from tqconsole.engine.worker.autoscale import Autoscaler
from tqconsole.engine.worker.banner import Identity, banner
from tqconsole.engine.worker.nodename import expand_path, node_name
from tqconsole.engine.worker.options import WorkerOptions, concurrency_of, events_mode, overrides
from tqconsole.engine.worker.panel import broker_fields, signal_number
from tqconsole.engine.worker.pidfile import PidfileTakenError, held_pidfile
from tqconsole.engine.worker.statedb import StateFile


@pytest.mark.parametrize(
    ("template", "name"),
    [
        (None, "celery@box.example.com"),
        ("", "celery@box.example.com"),
        ("w1", "w1@box.example.com"),
        ("w1@%h", "w1@box.example.com"),
        ("w1@%n", "w1@box"),
        ("w1@%d", "w1@example.com"),
        ("w%i@here", "w0@here"),
        ("100%%@here", "100%@here"),
        ("w1@", "w1@box.example.com"),
        ("@here", "celery@here"),
    ],
)
def test_node_name_expands_its_marks(template: str | None, name: str) -> None:
    assert node_name(template, "box.example.com") == name


@pytest.mark.parametrize(
    ("index", "path"),
    [(0, "/log/w1-box.example.com-0.log"), (3, "/log/w1-box.example.com-3-3.log")],
)
def test_file_name_expands_its_marks(index: int, path: str) -> None:
    assert expand_path("/log/%n-%h-%i%I.log", "w1@box.example.com", index) == path


def test_pidfile_holds_this_process_and_goes(tmp_path: Path) -> None:
    path = tmp_path / "w.pid"

    with held_pidfile(path):
        assert path.read_text() == f"{os.getpid()}\n"

    assert not path.exists()


@pytest.mark.parametrize("text", ["999999999", "no number", ""])
def test_stale_pidfile_is_replaced(tmp_path: Path, text: str) -> None:
    path = tmp_path / "w.pid"
    path.write_text(text)

    with held_pidfile(path):
        assert path.read_text() == f"{os.getpid()}\n"


def test_pidfile_of_a_living_process_is_respected(tmp_path: Path) -> None:
    path = tmp_path / "w.pid"
    path.write_text(f"{os.getppid()}\n")

    with pytest.raises(PidfileTakenError, match="is held by process"), held_pidfile(path):
        pass

    assert path.read_text() == f"{os.getppid()}\n"


def test_pidfile_in_no_folder_is_told(tmp_path: Path) -> None:
    with (
        pytest.raises(PidfileTakenError, match="cannot be made"),
        held_pidfile(tmp_path / "nowhere" / "w.pid"),
    ):
        pass


def test_state_file_keeps_revoked_ids_for_the_user_only(tmp_path: Path) -> None:
    path = tmp_path / "state"

    StateFile(path).save(["a", "b"], 7)

    assert StateFile(path).load() == (["a", "b"], 7)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("content", [b"", b"\x80\x04]", b"[]", b'{"revoked": 3, "clock": 1}'])
def test_corrupt_state_file_is_begun_anew(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "state"
    path.write_bytes(content)

    assert StateFile(path).load() == ([], 0)


def test_state_that_cannot_be_written_stops_nobody(tmp_path: Path) -> None:
    StateFile(tmp_path / "nowhere" / "state").save(["a"], 1)

    assert list(tmp_path.iterdir()) == []


def test_only_given_options_override_settings() -> None:
    options = WorkerOptions(concurrency=3, task_events=True, time_limit=5.0)

    assert overrides(options) == {
        "worker_concurrency": 3,
        "worker_send_task_events": True,
        "task_time_limit": 5.0,
    }


@pytest.mark.parametrize("value", ["many", -1, "1.5"])
def test_bad_concurrency_is_refused(value: object) -> None:
    with pytest.raises(ImproperlyConfigured, match="concurrency"):
        concurrency_of(SimpleNamespace(worker_concurrency=value))


@pytest.mark.parametrize(("value", "count"), [(3, 3), ("4", 4)])
def test_concurrency_is_read(value: object, count: int) -> None:
    assert concurrency_of(SimpleNamespace(worker_concurrency=value)) == count


@pytest.mark.parametrize("value", [None, 0, "auto"])
def test_concurrency_defaults_to_the_machine(value: object) -> None:
    assert 1 <= concurrency_of(SimpleNamespace(worker_concurrency=value)) <= (os.cpu_count() or 1)


@pytest.mark.parametrize(
    ("value", "mode"), [(True, "on"), (False, "off"), ("auto", "auto"), (1, "on")]
)
def test_events_mode_is_read(value: object, mode: str) -> None:
    assert events_mode(SimpleNamespace(worker_send_task_events=value)) == mode


def test_bad_log_level_is_refused() -> None:
    with pytest.raises(ImproperlyConfigured, match="no log level 'LOUD'"):
        WorkerOptions(loglevel="LOUD").level()


@pytest.mark.parametrize("name", ["TERM", "SIGTERM", "sigterm", "15"])
def test_signal_is_known_by_its_names(name: str) -> None:
    assert signal_number(name) == signal.SIGTERM


@pytest.mark.parametrize("name", ["NOSUCH", "0", "9999", ""])
def test_unknown_signal_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no such signal"):
        signal_number(name)


def test_stats_tell_of_the_first_server_and_its_alternates() -> None:
    with open_broker("amqp://me:secret@one/here;amqp://me:secret@two/here") as broker:
        fields = broker_fields(broker, "shuffle")

    assert (fields["hostname"], fields["virtual_host"]) == ("one", "here")
    assert fields["alternates"] == ["amqp://me:**@two/here"]
    assert fields["failover_strategy"] == "shuffle"


def test_banner_says_what_it_is() -> None:
    identity = Identity(
        hostname="w1@here",
        app_text="proj:0x1",
        broker_url="redis://user:**@host/0",
        backend_url="disabled://",
        concurrency="4",
        pool_name="prefork",
        events_mode="off",
        queues=[QueueSpec("celery", ExchangeSpec("celery"), "celery")],
        task_names=["b", "a\x1b[31m"],
    )

    text = banner(identity, datetime(2026, 11, 21, tzinfo=UTC))

    assert " -------------- w1@here v" in text
    assert " .> transport:   redis://user:**@host/0\n" in text
    assert " .> concurrency: 4 (prefork)\n" in text
    assert " .> task events: OFF (enable -E to monitor tasks in this worker)\n" in text
    assert " .> celery           exchange=celery(direct) key=celery\n" in text
    assert "  . a\\x1b[31m\n  . b\n" in text


def test_autoscaler_grows_at_once() -> None:
    assert Autoscaler(10, 2).change(2, in_hand_count=7, now_mono=0.0) == 5


def test_autoscaler_never_passes_its_bounds() -> None:
    scaler = Autoscaler(10, 2)

    assert scaler.change(2, in_hand_count=99, now_mono=0.0) == 8
    assert scaler.change(10, in_hand_count=0, now_mono=100.0) == -8


def test_autoscaler_waits_before_it_shrinks() -> None:
    scaler = Autoscaler(10, 2, keep_s=30.0)
    scaler.change(2, in_hand_count=10, now_mono=0.0)

    changes = [scaler.change(10, in_hand_count=0, now_mono=at) for at in (1.0, 29.0, 31.0)]

    assert changes == [0, 0, -8]


def test_lower_bounds_hold_at_once() -> None:
    scaler = Autoscaler(10, 2)
    scaler.change(2, in_hand_count=10, now_mono=0.0)

    assert scaler.set_bounds(4, None) == (4, 2)

    assert scaler.change(10, in_hand_count=0, now_mono=1.0) == -6


@pytest.mark.parametrize("bounds", [(0, 0), (2, 3), (3, -1)])
def test_bad_bounds_are_refused(bounds: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="autoscale"):
        Autoscaler(*bounds)
