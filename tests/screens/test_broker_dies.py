"""A broker that dies and returns under the console: it says so, answers keys, and goes on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from driving import press, rest, shown_text
from textual.pilot import Pilot

from tests.servers.brokers_up import Daemon, rabbitmq_daemon, redis_daemon
from tqconsole.console import Console
from tqconsole.core.session import Session, SessionOptions
from tqconsole.engine.app import App
from tqconsole.engine.protocol.event import BATCH_KEY, EVENTS, encode_events
from tqconsole.engine.protocol.transfer import Publication

pytestmark = [pytest.mark.server, pytest.mark.slow]
#: Seconds in which each thing must come about; a RabbitMQ needs many to start.
PATIENCE_S = 90.0
DAEMONS = {"redis": redis_daemon, "rabbitmq": rabbitmq_daemon}


@pytest.fixture(params=DAEMONS)
def daemon(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Daemon]:
    with DAEMONS[request.param](tmp_path) as running:
        yield running


@pytest.fixture
def session(daemon: Daemon) -> Iterator[Session]:
    with App("console", broker=daemon.url) as app:
        made = Session(app.broker, None, app.control, options=SessionOptions(tunes_gc=False))
        yield made
        made.stop()


def tell(daemon: Daemon, task_id: str) -> None:
    """Send a task's life, as a worker does."""
    origin = {"uuid": task_id, "hostname": "w1@h", "timestamp": time.time()}
    events = [
        {**origin, "type": "task-received", "name": "proj.add"},
        {**origin, "type": "task-started"},
        {**origin, "type": "task-succeeded", "runtime": 0.1, "result": "4"},
    ]
    with App("worker", broker=daemon.url) as app:
        publication = Publication(encode_events(events), BATCH_KEY, EVENTS.name)
        app.broker.broadcast(EVENTS, [publication])


async def until(pilot: Pilot[Any], is_so: Callable[[], bool]) -> None:
    """Draw frames until something is so."""
    app = pilot.app
    assert isinstance(app, Console)
    deadline_mono = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < deadline_mono, shown_text(app)
        app._frame()
        await rest(pilot)
        await asyncio.sleep(0.01)


async def heard(pilot: Pilot[Any], session: Session, daemon: Daemon, task_id: str) -> None:
    """Tell of a task until the console has heard it: a broker keeps no event for later."""

    def is_heard() -> bool:
        row = session.task(task_id)
        return row is not None and row.state == "SUCCESS"

    tell(daemon, task_id)
    await until(pilot, is_heard)


async def test_a_broker_dies_and_returns(daemon: Daemon, session: Session) -> None:
    app = Console(session, screen="tasks")
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: "LIVE" in shown_text(app))
        await heard(pilot, session, daemon, "before")
        await until(pilot, lambda: "before" in shown_text(app))

        daemon.stop()
        await until(pilot, lambda: "RECONNECTING" in shown_text(app))
        # What was seen stands, and every key is answered.
        assert "before" in shown_text(app)
        await press(pilot, "1")
        await until(pilot, lambda: "Needs attention" in shown_text(app))
        await until(pilot, lambda: bool(session.snapshot().link_detail))
        await press(pilot, "2")
        await until(pilot, lambda: "before" in shown_text(app))

        daemon.start()
        await until(pilot, lambda: "LIVE" in shown_text(app))
        await heard(pilot, session, daemon, "after")
        await until(pilot, lambda: "after" in shown_text(app))
        assert "before" in shown_text(app)
