"""Pictures of every screen: frozen clock, seeded cluster, fixed size. `make pictures` redraws."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from driving import press, settle, type_text
from fake import NOW_AT, FakeSession, make_flow
from replays import replay_session
from states import BrokenSession, EmptySession

from tqconsole.console import Console
from tqconsole.core.beat_views import BeatPicture
from tqconsole.core.port import ConsoleSession
from tqconsole.core.simulate import SimulatedSession
from tqconsole.core.views import PAST, Snapshot
from tqconsole.screens.start import StartChoice, StartFacts

PICTURES = Path(__file__).parents[2] / "snapshots"
#: What is likely to be there: a picture loads nothing from elsewhere.
FONTS = (
    "'Fira Code', 'JetBrains Mono', 'Cascadia Mono', 'DejaVu Sans Mono', Menlo, Consolas, monospace"
)
WIDE, NARROW = (120, 36), (80, 24)

#: Name -> (first screen, keys to get there).
SCENES: dict[str, tuple[str, tuple[str, ...]]] = {
    "dashboard": ("dashboard", ()),
    "tasks": ("tasks", ("down", "down", "space", "down", "space")),
    "task": ("tasks", ("exclamation_mark", "enter")),
    "workers": ("workers", ()),
    "worker": ("workers", ("down", "down", "enter")),
    "queues": ("queues", ()),
    "queue": ("queues", ("enter",)),
    "types": ("types", ("s", "f")),
    "beat": ("beat", ("down",)),
    "beat-run": ("beat", ("down", "B")),
    "beat-no-app": ("beat", ()),
    "flows": ("flows", ()),
    "flow": ("flows", ("enter",)),
    "gantt": ("flows", ("enter", "tab")),
    "graph": ("flows", ("enter", "tab", "tab")),
    "events": ("events", ()),
    "audit": (
        "workers",
        ("E", "right", "enter", "escape", "b", "escape", "P", "right", "enter", "escape", "9"),
    ),
    "start": ("start", ()),
    "call": ("tasks", ("N", "text:img", "enter", "text:[91]")),
    "revoke": ("tasks", ("space", "space", "X")),
    "pool": ("workers", ("P",)),
    "stamps": ("tasks", ("S", "text:batch=2026-11")),
    "replies": ("workers", ("space", "space", "space", "b")),
    "setup": ("workers", ("f2",)),
    "columns": ("workers", ("f2", "c")),
    "help": ("tasks", ("question_mark",)),
    "dead": ("queues", ("down", "enter", "tab")),
    "purge": ("queues", ("P",)),
    "actions": ("tasks", ("a", "down")),
    "command": ("tasks", ("colon", "text:re")),
    "contexts": ("dashboard", ("colon", "text:ctx", "enter")),
    "connect": ("dashboard", ("colon", "text:connect", "enter")),
    "undo": ("workers", ("E", "right", "enter", "escape", "9", "U")),
    "secrets": ("tasks", ("enter", "u")),
    "past": ("tasks", ("G",)),
    "replay": ("dashboard", ()),
}
START = StartFacts(
    (
        ("-b, --context", "not given"),
        ("-A", "not given"),
        ("environment", "TQCONSOLE_BROKER, CELERY_BROKER_URL not set"),
        ("pyproject.toml", "no broker in [tool.tqconsole]"),
        ("contexts.toml", "1 saved, none of them current"),
        ("localhost", "redis answers on localhost:6379"),
    ),
    (
        StartChoice("demo", "Explore the demo", "real workers and tasks, all temporary"),
        StartChoice("redis://localhost:6379//", "Connect to redis", "localhost, port 6379"),
    ),
    (StartChoice("context:staging", "staging", "amqp://app:**@mq1//shop"),),
)


def unused_session() -> FakeSession:
    session = FakeSession([])
    session.view = Snapshot(
        now_at=NOW_AT,
        context="proj",
        broker_url="sqlite:///home/me/proj/.tqconsole/queue.db",
        broker_reason="the project's own queue",
        link="live",
    )
    return session


def no_app_session() -> FakeSession:
    session = FakeSession()
    session.view = replace(session.view, beat=BeatPicture())
    return session


def flow_session() -> FakeSession:
    return FakeSession(make_flow())


def past_session() -> SimulatedSession:
    """A young run after another one: what that has seen stands below, dim."""
    session = SimulatedSession(history_s=12)
    before = SimulatedSession(2, NOW_AT - 7200, history_s=60)
    rows = [row for row in before._model.cluster.store if row.name]
    for row in rows:
        row.source = PAST
    session._model.cluster.add_past(rows)
    return session


def secret_session() -> FakeSession:
    session = FakeSession()
    session.fetched_kwargs = "{'password': 'hunter2', 'kind': 'thumb'}"
    return session


SESSIONS: dict[str, Callable[[], ConsoleSession]] = {
    "start": unused_session,
    # What was asked for in other pictures is none of this one's.
    **dict.fromkeys(("audit", "undo"), SimulatedSession),
    "secrets": secret_session,
    **dict.fromkeys(("beat", "beat-run"), FakeSession),
    "beat-no-app": no_app_session,
    "past": past_session,
    "replay": replay_session,
    **dict.fromkeys(("flows", "flow", "gantt", "graph"), flow_session),
}
#: The main screens, also drawn with nothing to show and with the broker gone.
MAINS = ("dashboard", "tasks", "workers", "queues", "types", "events")
STATES: dict[str, Callable[[], ConsoleSession]] = {"empty": EmptySession, "broken": BrokenSession}
for state, make in STATES.items():
    SCENES |= {f"{name}-{state}": (name, ()) for name in MAINS}
    SESSIONS |= {f"{name}-{state}": make for name in MAINS}
CASES = [
    *((name, size, "dark") for name in SCENES for size in (WIDE, NARROW)),
    *((name, size, "light") for name in ("dashboard", "tasks") for size in (WIDE, NARROW)),
]


@pytest.fixture(autouse=True)
def _utc() -> Iterator[None]:
    before = os.environ.get("TZ")
    os.environ["TZ"] = "UTC"
    time.tzset()
    yield
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()


@cache
def simulated() -> SimulatedSession:
    """Return the cluster of all pictures: it stands still, and actions change nothing in it."""
    return SimulatedSession()


def normal(svg: str) -> str:
    """Return the picture without Textual's changing ids and without fonts from elsewhere."""
    svg = re.sub(r"terminal-\d+", "terminal", svg)
    svg = re.sub(r"    @font-face \{.*?\n    \}\n", "", svg, flags=re.DOTALL)
    return svg.replace("font-family: Fira Code, monospace;", f"font-family: {FONTS};")


@pytest.mark.pictures
@pytest.mark.parametrize(
    ("name", "size", "theme"), CASES, ids=[f"{n}-{s[0]}x{s[1]}-{t}" for n, s, t in CASES]
)
async def test_screen_looks_as_its_picture(
    name: str, size: tuple[int, int], theme: str, request: pytest.FixtureRequest
) -> None:
    screen, keys = SCENES[name]
    session = SESSIONS.get(name, simulated)()
    app = Console(session, screen=screen, theme=f"tqconsole-{theme}", start=START)
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        for key in keys:
            if key.startswith("text:"):
                await type_text(pilot, key.removeprefix("text:"))
            else:
                await press(pilot, key)
        for field in app.screen.query("Input"):
            field.cursor_blink = False  # type: ignore[attr-defined]
            field._cursor_visible = True  # type: ignore[attr-defined]
        await settle(pilot)
        drawn = normal(app.export_screenshot(title="tqconsole", simplify=True))

    path = PICTURES / f"{name}-{size[0]}x{size[1]}-{theme}.svg"
    if request.config.getoption("--snapshot-update", default=False):
        path.parent.mkdir(exist_ok=True)
        path.write_text(drawn, encoding="utf-8")
    assert path.exists(), f"{path.name} is not there: make pictures"
    assert drawn == path.read_text(encoding="utf-8"), f"{path.name} differs: look at it"
