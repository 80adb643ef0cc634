"""Workers of both kinds on one RabbitMQ queue, and ours killed: nothing gets lost."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest

from tests.servers.kombu_fleet import PATIENCE_S, eventually
from tests.servers.rabbitmq_fleet import OURS, THEIRS, Place, is_delayed
from tqconsole.engine.app import App

pytestmark = [pytest.mark.server, pytest.mark.slow]


@pytest.fixture
def place(
    rabbitmq_vhosts: Iterator[str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    place = Place(next(rabbitmq_vhosts), tmp_path_factory.mktemp("place"))
    yield place
    place.close()


@pytest.fixture
def client(place: Place) -> Iterator[App]:
    with App("client", broker=place.url, backend="rpc://") as app:
        yield app


def is_empty(client: App, queue: str) -> Callable[[], bool]:
    """Ask after everybody who could hold something has gone."""
    return lambda: client.broker.depth(queue).ready_count == 0


def test_mixed_fleet_shares_a_queue(place: Place, client: App) -> None:
    fleet = [place.ours(OURS, "shared"), place.theirs(THEIRS, "shared")]
    lines = [f"{number}" for number in range(400)]

    client.send_many([("note", (line,), {}, {"queue": "shared"}) for line in lines])

    assert eventually(lambda: len(place.notes()) >= 400)
    assert sorted(place.notes()) == sorted(lines)
    for worker in fleet:
        worker.terminate()
    assert [worker.wait(PATIENCE_S) for worker in fleet] == [0, 0]
    assert is_empty(client, "shared")()


def test_killed_worker_of_ours_loses_nothing_in_a_mixed_fleet(place: Place, client: App) -> None:
    place.theirs(THEIRS, "shared")
    lines = {f"{number}" for number in range(2000)}
    client.send_many([("late", (line,), {}, {"queue": "shared"}) for line in lines])
    moments = random.Random(7)
    for least_count in (400, 800, 1200):
        ours = place.ours(OURS, "shared")
        enough = least_count + moments.randrange(100)
        assert eventually(lambda enough=enough: len(place.notes()) >= enough)
        place.kill(ours)
    place.ours(OURS, "shared")

    assert eventually(lambda: {*place.notes()} == lines), len({*place.notes()})
    # Each kill may have hit one task that had run and was not settled yet, or its batch's write.
    assert len(place.notes()) - len(lines) <= 3 * 20
    assert eventually(is_empty(client, "shared"))


def test_celery_fleet_runs_what_ours_had_in_hand(place: Place, client: App) -> None:
    ours = place.ours(OURS, "shared")
    results = client.send_many([("hold", (str(it),), {}, {"queue": "shared"}) for it in range(3)])
    assert eventually(lambda: place.notes() == ["held 0"])
    place.kill(ours)
    (place.folder / "gate").touch()

    place.theirs(THEIRS, "shared")

    assert [result.get(timeout=60) for result in results] == ["released"] * 3


def test_celery_fleet_runs_what_ours_held_twice(place: Place, client: App) -> None:
    """What may have killed a worker before is held as a copy, which comes back by itself."""
    result = client.send_task("hold", ("it",), queue="shared")
    for count in (1, 2):
        ours = place.ours(OURS, "shared")
        assert eventually(lambda count=count: len(place.notes()) == count)
        place.kill(ours)
    (place.folder / "gate").touch()

    place.theirs(THEIRS, "shared")

    assert result.get(timeout=60) == "released"


def test_celery_fleet_runs_what_ours_had_parked(place: Place, client: App) -> None:
    ours = place.ours(OURS, "shared")
    sent = client.send_task("note", ("parked",), queue="shared", countdown=6)
    # Parked: in no queue that this worker reads, and not in its hands.
    assert eventually(lambda: is_delayed(client.broker, within_s=6))
    place.kill(ours)

    place.theirs(THEIRS, "shared")

    assert sent.get(timeout=60) == "parked"
    assert place.notes() == ["parked"]
