"""A RabbitMQ of one's own that is killed, runs out of memory, or hangs up on everybody."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from tests.servers.brokers_up import Server, make_vhosts, rabbitmq_that_restarts, rabbitmqctl
from tests.servers.kombu_fleet import eventually
from tests.servers.rabbitmq_fleet import OURS, Place
from tqconsole.engine.app import App
from tqconsole.engine.brokers import open_broker
from tqconsole.engine.clock import SYSTEM_CLOCK
from tqconsole.engine.exceptions import OperationalError
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.transfer import ExchangeSpec, Publication, QueueSpec

STONE = Publication(Message(b"x", properties={"delivery_mode": 2}), "other")

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.xdist_group("rabbitmq faults")]


@pytest.fixture(scope="module")
def restarting(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Server, Callable[[], None], Iterator[str]]]:
    with rabbitmq_that_restarts(tmp_path_factory.mktemp("rabbitmq")) as (server, restart):
        yield server, restart, iter(make_vhosts(server, 0, 6))


@pytest.fixture
def server(restarting: tuple[Server, Callable[[], None], Iterator[str]]) -> Server:
    return restarting[0]


@pytest.fixture
def restart(restarting: tuple[Server, Callable[[], None], Iterator[str]]) -> Callable[[], None]:
    return restarting[1]


@pytest.fixture
def place(
    restarting: tuple[Server, Callable[[], None], Iterator[str]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Place]:
    place = Place(next(restarting[2]), tmp_path_factory.mktemp("place"))
    yield place
    place.close()


def test_worker_outlives_a_killed_server(place: Place, restart: Callable[[], None]) -> None:
    ours = place.ours(OURS, "shared")
    lines = [f"{number}" for number in range(1500)]
    with App("client", broker=place.url) as client:
        client.send_many([("late", (line,), {}, {"queue": "shared"}) for line in lines])
        assert eventually(lambda: len(place.notes()) >= 100)

        restart()

        assert eventually(lambda: {*place.notes()} == {*lines}), place.log(OURS)
        # What was not settled yet; and a server that is killed forgets the last acknowledgements.
        assert len(place.notes()) - len(lines) <= 400
        client.send_task("note", ("after",), queue="shared")
        assert eventually(lambda: "after" in place.notes()), place.log(OURS)
    assert ours.poll() is None
    told = [line for line in place.log(OURS).splitlines() if "RabbitMQ" in line]
    assert 1 <= len(told) <= 6, place.log(OURS)
    assert "Traceback" not in place.log(OURS)
    assert place.celery("inspect", "ping", "-t", "5")[OURS] == {"ok": "pong"}


def test_worker_outlives_hang_ups(place: Place, server: Server) -> None:
    place.ours(OURS, "shared", "-P", "prefork", "-c", "1")
    with App("client", broker=place.url, backend="rpc://") as client:
        assert client.send_task("add", (1, 2), queue="shared").get(timeout=20) == 3
        held = client.send_task("hold", ("it",), queue="shared")
        assert eventually(lambda: place.notes() == ["held it"])

        vhost = place.url.rpartition("/")[2]
        rabbitmqctl(server, "close_all_connections", "--vhost", vhost, "for a test")
        (place.folder / "gate").touch()

        # It ran here when its message was taken: it is known again, and settled, not run twice.
        assert held.get(timeout=30) == "released"
        assert client.send_task("add", (2, 2), queue="shared").get(timeout=30) == 4
    assert place.notes() == ["held it"]
    assert "Traceback" not in place.log(OURS)


def test_worker_waits_for_a_server_that_lets_it_in_no_more(place: Place, server: Server) -> None:
    worker = place.ours(OURS, "shared", "-P", "threads", "-c", "2")
    with App("client", broker=place.url) as client:
        client.send_task("hold", ("it",), queue="shared")
        assert eventually(lambda: place.notes() == ["held it"])
        lines = [str(number) for number in range(20)]
        client.send_many([("note", (line,), {}, {"queue": "shared"}) for line in lines])
        assert eventually(lambda: len(place.notes()) == 21)

        rabbitmqctl(server, "change_password", "guest", "another")
        try:
            vhost = place.url.rpartition("/")[2]
            rabbitmqctl(server, "close_all_connections", "--vhost", vhost, "for a test")
            (place.folder / "gate").touch()
            wanted = "refuses the user or the password"
            assert eventually(lambda: wanted in place.log(OURS)), place.log(OURS)
        finally:
            rabbitmqctl(server, "change_password", "guest", "guest")

        assert eventually(lambda: "The broker answers again" in place.log(OURS)), place.log(OURS)
        client.send_task("note", ("after",), queue="shared")
        assert eventually(lambda: "after" in place.notes()), place.log(OURS)
    assert worker.poll() is None
    # What was released meanwhile is known again, and has not run twice.
    assert place.notes() == ["held it", *lines, "after"]
    assert place.log(OURS).count(wanted) == 1
    assert place.log(OURS).count("The broker answers again") == 1


def test_queue_that_is_made_anew_elsewhere_is_used_as_it_is(place: Place) -> None:
    worker = place.ours(OURS, "shared", "-P", "threads", "-c", "2")
    with App("client", broker=place.url) as client, open_broker(place.url) as elsewhere:
        client.send_task("note", ("before",), queue="shared")
        assert eventually(lambda: place.notes() == ["before"])
        elsewhere.delete("shared")
        elsewhere.declare(QueueSpec("shared", ExchangeSpec("shared"), "shared", max_priority=5))

        lines = [str(number) for number in range(50)]
        client.send_many([("note", (line,), {}, {"queue": "shared"}) for line in lines])

        assert eventually(lambda: len(place.notes()) >= 51), place.log(OURS)
    assert sorted(place.notes()[1:]) == sorted(lines)
    assert worker.poll() is None
    assert place.log(OURS).count("exists with other settings than asked for") <= 1
    assert "Traceback" not in place.log(OURS)


def test_server_short_of_memory_stops_publishers_and_nobody_else(
    place: Place, server: Server
) -> None:
    place.ours(OURS, "shared")
    lines = [f"{number}" for number in range(1000)]
    with App("client", broker=place.url) as client, open_broker(place.url) as broker:
        options = {"queue": "shared", "ignore_result": True}
        client.send_many([("late", (line,), {}, options) for line in lines])
        broker.publish([STONE])
        rabbitmqctl(server, "set_vm_memory_high_watermark", "absolute", "1")
        try:
            asked_mono = SYSTEM_CLOCK.mono()
            with pytest.raises(OperationalError, match="low on memory"):
                broker.publish([STONE])
            assert SYSTEM_CLOCK.mono() - asked_mono < 12
            done = place.run("tqconsole", "-b", place.url, "call", "note", "-a", '["no"]')
            assert done.returncode == 75, done
            assert "low on memory" in done.stderr
            # Acknowledging is not publishing.
            assert eventually(lambda: len(place.notes()) >= 1000), len(place.notes())
        finally:
            rabbitmqctl(server, "set_vm_memory_high_watermark", "0.9")
        broker.publish([STONE])
        client.send_task("note", ("after",), queue="shared")
        assert eventually(lambda: "after" in place.notes()), place.log(OURS)
    assert "Traceback" not in place.log(OURS)


def test_client_that_publishes_while_the_server_is_away_is_told_soon(
    place: Place, restart: Callable[[], None]
) -> None:
    with open_broker(place.url) as broker:
        broker.publish([STONE])
        restarting = threading.Thread(target=restart)
        restarting.start()
        told: list[float] = []
        published = 1
        while restarting.is_alive():
            asked_mono = SYSTEM_CLOCK.mono()
            try:
                broker.publish([STONE])
                published += 1
            except OperationalError:
                told.append(SYSTEM_CLOCK.mono() - asked_mono)
                restarting.join(0.1)
        restarting.join()

        assert told
        assert max(told) < 12
        broker.publish([STONE])
        # What was not confirmed may have arrived all the same.
        assert published + 1 <= broker.depth("other").ready_count <= published + 2
