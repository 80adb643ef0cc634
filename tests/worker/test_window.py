"""How much is fetched: what ran a moment ago, and a worker that was held up goes on as before."""

from __future__ import annotations

from tqconsole.engine.worker.window import MAX_WINDOW, Window

#: Prefetch multiplier and slots of these windows, and what they come to.
MULTIPLIER, SLOTS, FEWEST = 4, 2, 8


def busy_window() -> Window:
    """A window after 50 ms at ten runs a millisecond."""
    window = Window(MULTIPLIER)
    for at_ms in range(50):
        window.note_ended(10, at_ms / 1000)
        window.size(SLOTS, at_ms / 1000)
    return window


def test_window_is_what_ran_in_ten_milliseconds() -> None:
    assert 100 <= busy_window().size(SLOTS, 0.049) <= 110


def test_window_is_never_less_than_what_the_user_set_nor_more_than_a_few_hundred() -> None:
    window = Window(MULTIPLIER)
    assert window.size(SLOTS, 1.0) == FEWEST

    window.note_ended(10_000, 1.0)

    assert window.size(SLOTS, 1.0) == MAX_WINDOW


def test_window_falls_by_half_while_nothing_ends() -> None:
    window = busy_window()

    full = window.size(SLOTS, 0.049)

    assert full * 0.45 < window.size(SLOTS, 0.059) < full * 0.55
    assert full * 0.2 < window.size(SLOTS, 0.069) < full * 0.3


def test_window_of_slow_tasks_is_what_the_user_set_within_a_blink() -> None:
    window = busy_window()

    assert window.size(SLOTS, 0.149) == FEWEST
