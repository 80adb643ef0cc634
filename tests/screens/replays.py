"""A recording of the simulated cluster, and a replay of it whose time stands still."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tqconsole.core.facts import Told
from tqconsole.core.ingest import Arrived
from tqconsole.core.recording import Recorder
from tqconsole.core.replay import ReplaySession
from tqconsole.core.simulated_events import PICTURE_AT, EventSource, depths
from tqconsole.engine.clock import ManualClock

#: Seconds recorded, and where the replay stands.
LENGTH_S, PLACE_S = 90, 80


def record_cluster(path: Path) -> Path:
    """Record the simulated cluster's events and queues for a minute and a half."""
    began_at = PICTURE_AT - PLACE_S
    source = EventSource(1)
    recorder = Recorder(path, broker_url="amqp://app:**@mq1//shop", context="prod")
    recorder.start(began_at)
    for second in range(LENGTH_S):
        at = began_at + second
        recorder.note_events(Arrived(at, source.heartbeats(at)))
        recorder.note_fact(Told("depths", depths(float(second), at)), at)
        recorder.note_events(Arrived(at + 1, source.second(at)))
    recorder.stop()
    return path


def replay_session() -> ReplaySession:
    """Return a replay that stands at the instant of all pictures."""
    folder = Path(tempfile.mkdtemp(prefix="tqconsole-replay-"))
    path = record_cluster(folder / "prod.tqrec")
    session = ReplaySession(path, start_at=PICTURE_AT, clock=ManualClock())
    while session.snapshot().now_at != PICTURE_AT:
        session.drain()
    # Its time stands still: nothing more is read.
    session.stop()
    path.unlink()
    folder.rmdir()
    return session
