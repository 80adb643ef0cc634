"""Memory goes back when much has come or gone, and is left alone otherwise."""

from __future__ import annotations

from tqconsole.engine.worker.trimming import Trimmer, make_trimmer

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


def test_this_system_has_it() -> None:
    trimmer = make_trimmer()

    assert trimmer is not None
    trimmer.look()
