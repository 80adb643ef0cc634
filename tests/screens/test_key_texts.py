"""Texts that name a key name the one that does it here, and none that is off."""

from __future__ import annotations

from dataclasses import replace

import pytest
from driving import press, settle, shown_text
from fake import FakeSession
from states import EmptySession
from textual.keys import _character_to_key

from tqconsole.console import Console
from tqconsole.core.beat_views import BeatPicture
from tqconsole.core.keymap import KEYMAP
from tqconsole.core.setup import Setup
from tqconsole.core.views import Attention, AuditLine

SIZE = (120, 36)


def without_events(session: FakeSession) -> FakeSession:
    """Workers answer and tell of no task; the dashboard says so, in its list as well."""
    findings = (
        Attention("warning", "events", "task events", "2 alive", "workers", "", "dashboard.events"),
        Attention("warning", "events", "w1", "ran 9", "workers", "w1", "workers.events"),
    )
    session.view = replace(
        session.view,
        has_task_events=False,
        attention=findings,
        totals=replace(session.view.totals, workers_online=2),
    )
    return session


def silent() -> FakeSession:
    return without_events(FakeSession())


def silent_and_empty() -> FakeSession:
    return without_events(EmptySession())


def no_schedule() -> FakeSession:
    session = FakeSession()
    session.view = replace(session.view, beat=BeatPicture((), "empty"))
    return session


def undoable() -> FakeSession:
    session = FakeSession()
    undo = Console  # Anything but None: only that there is one is drawn.
    session.audit_lines = (AuditLine(1.0, "worker.ping", (), "", "done", undo=undo),)  # type: ignore[arg-type]
    return session


#: Screen, cluster, binding bound anew, its other key, keys pressed before, and the text; {} is the
#: key that holds.
NAMED = [
    ("dashboard", silent, "dashboard.events", "Y", (), "press {}"),
    ("dashboard", silent, "dashboard.events", "Y", (), "2 alive: {} turns"),
    ("dashboard", silent, "workers.events", "Y", (), "ran 9: {} on Workers"),
    ("dashboard", EmptySession, "task.call", "Y", (), "; {} calls a task"),
    ("dashboard", FakeSession, "screen.tasks", "y", (), " {} Tasks"),
    ("tasks", silent_and_empty, "tasks.events", "Y", (), "press {}"),
    ("tasks", FakeSession, "list.follow", "y", ("{}",), "  {} follows"),
    ("tasks", FakeSession, "list.filter", "y", (), "{} filters: "),
    ("workers", silent, "workers.events", "Y", (), "press {}"),
    ("workers", FakeSession, "workers.gone", "y", (), "({} shows)"),
    ("queues", EmptySession, "task.call", "Y", (), "into one ({})"),
    ("types", EmptySession, "task.call", "Y", (), "{} calls one."),
    ("types", FakeSession, "list.problems", "y", ("{}",), "only failing types ({})"),
    ("beat", silent, "beat.events", "Y", (), "seen: {} turns"),
    ("beat", no_schedule, "app.refresh", "y", (), "{} reads them anew"),
    ("events", EmptySession, "events.events", "Y", (), "{} asks those that run"),
    ("events", silent_and_empty, "events.events", "Y", (), "press {}"),
    ("audit", undoable, "audit.undo", "Y", (), " {}"),
    ("tasks", FakeSession, "task.zoom", "y", ("enter",), "{} zoom"),
    ("tasks", FakeSession, "tabs.next", "y", ("enter",), "{} next"),
    ("tasks", FakeSession, "app.back", "y", ("{}",), "{} again quits"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("screen", "make", "binding_id", "key", "before", "text"),
    NAMED,
    ids=[f"{row[0]}-{row[2]}-{index}" for index, row in enumerate(NAMED)],
)
async def test_a_text_names_the_key_that_was_bound_anew(
    screen, make, binding_id, key, before, text
) -> None:
    old = next(entry.keys[0] for entry in KEYMAP if entry.binding_id == binding_id)
    for keys in ({}, {binding_id: (key,)}):
        app = Console(make(), screen=screen, setup=Setup(keys=keys))
        async with app.run_test(size=SIZE) as pilot:
            await settle(pilot)
            shown = key if keys else old
            pressed = [one.format(shown) for one in before]
            await press(
                pilot, *(_character_to_key(one) if len(one) == 1 else one for one in pressed)
            )

            said = shown_text(app) + "\n".join(it.message for it in app._notifications)
            assert text.format(shown) in said


@pytest.mark.parametrize("screen", ["dashboard", "tasks", "workers", "beat", "events"])
async def test_no_text_offers_a_key_that_read_only_takes_away(screen: str) -> None:
    session = without_events(FakeSession(is_read_only=True))
    app = Console(session, screen=screen)
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)

        text = shown_text(app)

    assert "press" not in text
    assert "turns them on" not in text
