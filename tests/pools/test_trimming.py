"""Memory goes back when much has come or gone, and is left alone otherwise."""

from __future__ import annotations

from tqconsole.engine.pools.trimming import Trimmer, make_trimmer

MIB = 2**20


def test_it_is_trimmed_when_much_has_come_or_gone() -> None:
    sizes = iter([30, 40, 100, 95, 100, 60, 35, 40])
    told: list[int] = []
    trimmer = Trimmer(told.append, lambda: next(sizes) * MIB)

    trimmer.look()
    assert told == []

    trimmer.look()  # 100, and 95 afterwards
    assert told == [0]

    trimmer.look()  # 100: hardly more
    assert told == [0]

    trimmer.look()  # 60, and 35 afterwards
    assert told == [0, 0]

    trimmer.look()  # 40
    assert told == [0, 0]


def test_what_was_in_use_the_last_time_is_given_back_later() -> None:
    # It is let go between two looks, and the size does not show it before the next trim.
    sizes = [30, 150, 148, 148, 150, 35, 36, 36, 36, 36]
    told: list[int] = []
    trimmer = Trimmer(told.append, lambda: sizes.pop(0) * MIB)

    trimmer.look()
    assert len(told) == 1

    trimmer.look()
    trimmer.look()
    assert len(told) == 2

    for _ in range(4):
        trimmer.look()
    assert len(told) == 2


def test_what_it_needs_is_not_trimmed_for_ever() -> None:
    told: list[int] = []
    sizes = iter([30])
    trimmer = Trimmer(told.append, lambda: next(sizes, 150) * MIB)

    for _ in range(1_000):
        trimmer.look()

    assert 2 < len(told) < 10


def test_this_system_has_it() -> None:
    trimmer = make_trimmer()

    assert trimmer is not None
    trimmer.look()
