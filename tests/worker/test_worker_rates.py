"""Rates, revokes and the window: the machine's small parts."""

from __future__ import annotations

from typing import Any

import pytest

from tqconsole.engine.worker.rates import Bucket, parse_rate
from tqconsole.engine.worker.revokes import Revokes
from tqconsole.engine.worker.window import MAX_WINDOW, RunTimes, Window


@pytest.mark.parametrize(
    ("text", "rate_per_s"),
    [
        ("100/s", 100.0),
        ("30/m", 0.5),
        ("2/h", 2 / 3600),
        ("0.5/s", 0.5),
        ("7", 7.0),
        (5, 5.0),
        (None, None),
        (0, None),
        ("0", None),
        ("0/m", None),
        ("", None),
    ],
)
def test_rate_is_read_as_celery_writes_it(text: str | int | None, rate_per_s: float | None) -> None:
    assert parse_rate(text) == rate_per_s


@pytest.mark.parametrize("text", [[], {}, "1/d", "ten/s", "/s", "-1/s", "nan", "inf/s", "1/m/s"])
def test_bad_rate_is_refused(text: Any) -> None:
    with pytest.raises(ValueError, match="rate"):
        parse_rate(text)


def test_bucket_gives_one_token_a_step() -> None:
    bucket = Bucket(10.0)

    taken = [bucket.take(now_mono / 100) for now_mono in range(100)]

    assert sum(taken) == 10


def test_bucket_keeps_its_rate_when_looked_at_late() -> None:
    bucket = Bucket(10.0)

    taken = [bucket.take(look * 0.07) for look in range(100)]

    assert sum(taken) == pytest.approx(70, abs=1)


def test_bucket_saves_nothing_up() -> None:
    bucket = Bucket(10.0)
    bucket.take(0.0)

    taken = [bucket.take(100.0) for _ in range(5)]

    assert taken == [True, False, False, False, False]


def test_oldest_revoked_id_gives_way() -> None:
    revokes = Revokes(max_count=2)

    revokes.add(["a", "b", "c"], 0.0)

    assert revokes.task_ids() == ["b", "c"]


def test_revoked_id_is_forgotten_after_its_time() -> None:
    revokes = Revokes(kept_s=10.0)
    revokes.add(["a"], 0.0)

    revokes.add(["b"], 11.0)

    assert "a" not in revokes
    assert "b" in revokes


def test_id_revoked_again_is_young_again() -> None:
    revokes = Revokes(max_count=2)

    revokes.add(["a", "b", "a", "c"], 0.0)

    assert revokes.task_ids() == ["a", "c"]


def test_window_without_a_users_limit_is_the_cap() -> None:
    assert Window(0).size(2, 0.0) == MAX_WINDOW


def test_window_follows_the_user_above_the_cap() -> None:
    assert Window(1000).size(2, 0.0) == 2000


def test_window_falls_back_when_nothing_runs() -> None:
    window = Window(4)
    window.note_ended(100, 1.0)
    assert window.size(2, 1.005) == 100

    assert window.size(2, 2.0) == 8


def test_one_slow_run_ends_the_batches_at_once() -> None:
    run_times = RunTimes()
    for _ in range(100):
        run_times.note("t", 0.00001)

    run_times.note("t", 1.0)

    assert run_times.cost_s("t") > 0.1
