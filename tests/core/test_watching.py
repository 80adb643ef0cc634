"""Conditions on figures: what holds, what is not known, and what cannot be understood."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tqconsole.core.errors import FilterError
from tqconsole.core.type_views import TypeView
from tqconsole.core.views import QueueView, Snapshot, Totals
from tqconsole.core.watching import Condition

SNAPSHOT = Snapshot(
    now_at=1_795_183_351.0,
    totals=Totals(2, 3, 4, 16, 1200, 80.0, 0.06, 0.0, 1.8),
    queues=(
        QueueView("mail", 1000, 5, dead_count=2, oldest_s=372.0),
        QueueView("img.big", 200, None, dead_count=1),
    ),
    types=(TypeView("img.resize", 61.0, 3600, 0.17, p95_s=3.9),),
)


def reason(text: str, session: Any = None) -> str:
    return Condition(text).reason(SNAPSHOT, session)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("queued > 1000", "queued > 1000 (1,200)"),
        ("workers<3", "workers<3 (2)"),
        ("fail >= 5%", "fail >= 5% (6)"),
        ("p95 > 500ms", "p95 > 500ms (1.8)"),
        ("dead = 3", "dead = 3 (3)"),
        ("queue:mail.oldest > 5m", "queue:mail.oldest > 5m (372)"),
        ("queue:img.big.ready = 200", "queue:img.big.ready = 200 (200)"),
        ("type:img.resize.p95 > 2s", "type:img.resize.p95 > 2s (3.9)"),
        ("queued > 9999 or workers < 3", "workers < 3 (2)"),
        ("queued > 1 AND workers < 3", "queued > 1 (1,200), workers < 3 (2)"),
    ],
)
def test_what_holds_is_told_with_its_figures(text, said):
    assert reason(text) == said


@pytest.mark.parametrize(
    "text",
    [
        "queued > 1200",
        "queued > 1 and workers > 3",
        "queue:img.big.unacked = 0",
        "queue:nosuch.ready >= 0",
        "type:img.resize.wait >= 0",
    ],
)
def test_what_does_not_hold_or_is_not_known_says_nothing(text):
    assert reason(text) == ""


@pytest.mark.parametrize(
    ("text", "message", "column"),
    [
        ("", "a condition is missing", 0),
        ("queued >", "'queued' is no condition", 0),
        ("mood > 3", "no figure is called 'mood': workers, active", 0),
        ("queue:mail.mood > 3", "no figure of a queue is called 'mood': ready", 11),
        ("queued > 3 workers < 2", "'and' or 'or' is wanted before 'workers'", 11),
        ("queued > 3 or", "a condition is missing", 13),
        ("tasks:", "a filter is missing", 6),
        ("tasks: (state:FAILURE", "", 7),
    ],
)
def test_what_cannot_be_understood_names_its_place(text, message, column):
    with pytest.raises(FilterError) as raised:
        Condition(text)

    assert message in raised.value.message
    if not text.startswith("tasks: "):
        assert raised.value.column == column


def test_a_filter_holds_when_a_task_matches():
    session = SimpleNamespace(tasks=lambda expression: [1, 2] if "FAILURE" in expression else [])

    assert (
        reason("tasks: state:FAILURE name:img", session) == "2 tasks match state:FAILURE name:img"
    )
    assert reason("tasks: state:SUCCESS", session) == ""
