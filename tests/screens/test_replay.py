"""The console on a recording: it says so, it is wound, and its keys change nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from driving import press, settle, shown_text, type_text
from replays import record_cluster

from tqconsole.console import Console
from tqconsole.core.replay import ReplaySession
from tqconsole.core.simulated_events import PICTURE_AT
from tqconsole.engine.clock import ManualClock
from tqconsole.widgets.requests import Goto

SIZE = (120, 36)


@pytest.fixture
def session(tmp_path: Path) -> Iterator[ReplaySession]:
    path = record_cluster(tmp_path / "prod.tqrec")
    replay = ReplaySession(path, start_at=PICTURE_AT, clock=ManualClock())
    while replay.snapshot().now_at != PICTURE_AT:
        replay.drain()
    yield replay
    replay.stop()


async def test_a_replay_says_what_it_is(session: ReplaySession) -> None:
    app = Console(session, screen="dashboard")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        text = shown_text(app)

        assert "REPLAY" in text
        assert "read-only" in text
        assert ":seek +5m" in text


async def test_it_is_wound_forward_by_the_command_line(session: ReplaySession) -> None:
    app = Console(session, screen="dashboard")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "colon")
        await type_text(pilot, "seek +5s")
        await press(pilot, "enter")

        assert session.snapshot().now_at == PICTURE_AT + 5


async def test_winding_back_goes_on_with_another_session(session: ReplaySession) -> None:
    app = Console(session, screen="tasks")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "colon")
        await type_text(pilot, "seek -30s")
        await press(pilot, "enter")

    earlier = app.next_session
    assert isinstance(earlier, ReplaySession)
    assert app.next_screen == "tasks"
    earlier.start()
    earlier.drain()
    assert earlier.snapshot().now_at == PICTURE_AT - 30
    earlier.stop()


async def test_a_wrong_time_or_speed_is_told(session: ReplaySession) -> None:
    app = Console(session, screen="dashboard")
    told: list[str] = []
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        app.tell = lambda text, **_: told.append(text)  # type: ignore[method-assign]
        for command in ("seek later", "speed fast", "speed 4"):
            await press(pilot, "colon")
            await type_text(pilot, command)
            await press(pilot, "enter")

    assert "14:00" in told[0]
    assert "no speed" in told[1]
    assert told[2] == "4 times as fast as it was"


async def test_keys_that_change_a_cluster_are_gone(session: ReplaySession) -> None:
    app = Console(session, screen="tasks")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        screens = len(app.screen_stack)
        await press(pilot, "X", "R", "P", "L")

        assert len(app.screen_stack) == screens
        app.post_message(Goto("worker", "w1@ip-10-1-2"))
        await settle(pilot)
        assert "this is a replay" in shown_text(app)
