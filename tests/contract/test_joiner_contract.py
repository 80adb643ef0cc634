"""Where the parts of chords come together, in every store that has such a place."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import contract_adapters
import pytest

from tqconsole.engine.backends import open_backend
from tqconsole.engine.backends.base import Backend, Joiner
from tqconsole.engine.protocol.chord import ChordPart, group_key
from tqconsole.engine.protocol.transfer import ResultWrite

LIFE_S = 3600.0


#: rpc:// keeps nothing.
PLACES = {name: it for name, it in contract_adapters.BACKEND_PLACES.items() if name != "rpc"}


@pytest.fixture(params=contract_adapters.parameters(PLACES))
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    opened = open_backend(contract_adapters.url_of(request, tmp_path))
    yield opened
    opened.close()


@pytest.fixture
def joiner(backend: Backend) -> Joiner:
    assert backend.joiner is not None
    return backend.joiner


@pytest.fixture
def group_id() -> str:
    return str(uuid.uuid4())


def part(group_id: str, number: int, *, score: str | None = None) -> ChordPart:
    task_id = f"{group_id[:8]}-{number}"
    packed = f'[1, "{task_id}", "SUCCESS", {number}]'.encode()
    return ChordPart(group_id, task_id, str(number) if score is None else score, packed)


def add(joiner: Joiner, *parts: ChordPart) -> list[bool]:
    return [joiner.add_part(each, (), LIFE_S) for each in parts]


def test_the_last_part_holds_the_chord(joiner: Joiner, group_id: str) -> None:
    joiner.open_chord(group_id, 3, LIFE_S)

    held = add(joiner, part(group_id, 2), part(group_id, 0), part(group_id, 1))

    assert held == [False, False, True]
    assert joiner.parts(group_id) == [part(group_id, number).packed for number in range(3)]


def test_places_are_numbers_not_words(joiner: Joiner, group_id: str) -> None:
    joiner.open_chord(group_id, 12, LIFE_S)

    add(joiner, *(part(group_id, number) for number in reversed(range(12))))

    assert joiner.parts(group_id) == [part(group_id, number).packed for number in range(12)]


def test_a_part_counts_once(joiner: Joiner, group_id: str) -> None:
    joiner.open_chord(group_id, 2, LIFE_S)

    held = add(joiner, part(group_id, 0), part(group_id, 0), part(group_id, 1), part(group_id, 0))

    assert held == [False, False, True, False]


def test_only_the_holder_completes_it_again(joiner: Joiner, group_id: str) -> None:
    joiner.open_chord(group_id, 2, LIFE_S)
    add(joiner, part(group_id, 0), part(group_id, 1))

    assert add(joiner, part(group_id, 0), part(group_id, 1)) == [False, True]


def test_a_closed_chord_is_over(joiner: Joiner, backend: Backend, group_id: str) -> None:
    joiner.open_chord(group_id, 1, LIFE_S)
    add(joiner, part(group_id, 0))

    joiner.close_chord(group_id)

    assert add(joiner, part(group_id, 0)) == [False]
    assert joiner.parts(group_id) == []
    assert backend.get(group_key(group_id, ".s")) is None


def test_parts_before_the_opening_are_kept(joiner: Joiner, group_id: str) -> None:
    """A chord that is sent once more is opened once more."""
    joiner.open_chord(group_id, 2, LIFE_S)
    add(joiner, part(group_id, 0))
    joiner.open_chord(group_id, 2, LIFE_S)

    assert add(joiner, part(group_id, 1)) == [True]


def test_what_nobody_opened_completes_nothing(joiner: Joiner, group_id: str) -> None:
    assert add(joiner, part(group_id, 0)) == [False]


def test_it_grows_by_tasks(joiner: Joiner, group_id: str) -> None:
    joiner.open_chord(group_id, 1, LIFE_S)
    for task_id in ("more", "more", "most"):
        joiner.grow_chord(group_id, task_id, LIFE_S)

    held = add(joiner, part(group_id, 0), part(group_id, 1, score="+inf"))
    assert held == [False, False]
    assert add(joiner, part(group_id, 2, score="+inf")) == [True]
    assert len(joiner.parts(group_id)) == 3


def test_records_are_written_with_the_part(joiner: Joiner, backend: Backend, group_id: str) -> None:
    joiner.open_chord(group_id, 1, LIFE_S)
    one = part(group_id, 0)

    joiner.add_part(one, [ResultWrite(one.task_id, "SUCCESS", b'{"status": "SUCCESS"}')], LIFE_S)

    assert backend.fetch([one.task_id]) == {one.task_id: b'{"status": "SUCCESS"}'}


def test_one_of_two_marks_may_begin(joiner: Joiner, group_id: str) -> None:
    key = group_key(group_id, ".b")

    assert [joiner.may_begin(key, mark, LIFE_S) for mark in ("a", "b", "a")] == [True, False, True]


def test_one_of_many_threads_holds_it(joiner: Joiner, group_id: str) -> None:
    joiner.open_chord(group_id, 20, LIFE_S)
    held: list[bool] = []

    def return_one(number: int) -> None:
        held.extend(add(joiner, part(group_id, number)))

    threads = [threading.Thread(target=return_one, args=(number,)) for number in range(20)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(held) == [False] * 19 + [True]
