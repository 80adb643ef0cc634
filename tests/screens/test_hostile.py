"""Whatever a cluster calls its things, the console lives and the terminal gets no escape."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest
from driving import press, settle, shown_text
from fake import FakeSession, make_rows

from tqconsole.console import Console
from tqconsole.core.views import ActionDone, NodeAnswer, TaskRow

#: A console run each, so the dangers of one kind stand together. "[/" alone broke markup parsers.
HOSTILE = {
    "unclosed": "[/",
    "markup and escapes": "[/] [@click=app.quit]x[/] [bold]x[/bold] $error {oops} %s \\"
    " \x1b[31mred\x1b]0;title\x07 \u202eltr\u2066x a\x00b\x9bc\r\n\tz \ud800",
    "wide and long": "日本語" * 40 + "e\u0301" * 30 + "\u0301" * 50 + "x" * 2000,
}
#: What must never reach the terminal.
FORBIDDEN = ("\x1b", "\x07", "\x9b", "\u202e", "\u2066", "\x00", "\r")


def poisoned(value: Any, text: str) -> Any:
    """Return a view with every string replaced, in nested views too."""
    if isinstance(value, str):
        return text
    if isinstance(value, tuple):
        return tuple(poisoned(item, text) for item in value)
    if hasattr(value, "__dataclass_fields__"):
        changed = {f.name: poisoned(getattr(value, f.name), text) for f in fields(value)}
        return replace(value, **changed)
    return value


def hostile_session(text: str) -> FakeSession:
    rows = make_rows(30)
    session = FakeSession(rows)
    view = session.view
    for row in rows:
        for name in TaskRow.__slots__:
            if isinstance(getattr(row, name), str) and name not in ("task_id", "state"):
                setattr(row, name, text)
    session.view = replace(
        view,
        context=text,
        broker_url=text,
        broker_reason=text,
        link_detail=text,
        workers=tuple(replace(w, name=f"{text}{i}") for i, w in enumerate(view.workers)),
        queues=tuple(replace(q, name=f"{text}{i}") for i, q in enumerate(view.queues)),
        types=tuple(replace(t, name=f"{text}{i}") for i, t in enumerate(view.types)),
        attention=tuple(
            replace(a, subject=f"{text}{i}", text=text) for i, a in enumerate(view.attention)
        ),
        task_names=(text, text + "2"),
    )
    session.letters = tuple(
        replace(poisoned(letter, text), letter_id=letter.letter_id) for letter in session.letters
    )
    session.answer = ActionDone(
        text, (NodeAnswer(text, text), NodeAnswer(text + "2", "", text)), (text,), equivalent=text
    )
    events = session.events()
    session.events = lambda *_: tuple(replace(e, worker=text, name=text, text=text) for e in events)
    return session


def assert_clean(app: Console) -> None:
    text = shown_text(app)
    assert not [sign for sign in FORBIDDEN if sign in text]
    lines = text.splitlines()
    assert len(lines) == app.size.height


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
async def test_hostile_text_in_every_field_is_only_text(text: str) -> None:
    app = Console(hostile_session(text), screen="dashboard")
    async with app.run_test(size=(100, 34)) as pilot:
        await settle(pilot)
        assert_clean(app)
        for keys in (
            ("2",),
            ("enter",),
            ("q", "X"),
            ("escape", "c"),
            ("escape", "N"),
            ("escape", "3"),
            ("b",),
            ("escape", "enter"),
            ("4", "enter"),
            ("tab",),
            ("8",),
            ("question_mark",),
        ):
            await press(pilot, *keys)
            assert_clean(app)
        assert app.is_running
