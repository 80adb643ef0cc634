"""kombu's connections by way of an app, dead letters, a worker of one's own, and pickling."""

from __future__ import annotations

import pickle
import threading
from pathlib import Path

import pytest
from client_rig import fresh_url, make_app

from tqconsole.engine.app import App
from tqconsole.engine.dead_letters import UnknownLetterError
from tqconsole.engine.exceptions import ImproperlyConfigured
from tqconsole.engine.protocol.transfer import Settlement, Verdict
from tqconsole.engine.routing import worker_direct


@pytest.fixture
def app(tmp_path: Path) -> App:
    return App("proj", broker=f"sqlite:///{tmp_path}/queue.db", set_as_current=False)


def test_a_connection_reaches_the_apps_broker(app: App) -> None:
    with app.connection_for_write() as connection:
        connection.SimpleQueue("q").put({"x": 1})
    with app.connection_for_read() as connection:
        assert connection.SimpleQueue("q").get(timeout=5).payload == {"x": 1}
    app.close()


def test_settings_reach_the_connection() -> None:
    app = make_app(
        broker="amqp://me:secret@broker:5671/shop",
        broker_use_ssl={"ca_certs": "/ca.pem"},
        broker_connection_timeout=7,
        broker_heartbeat=11,
    )

    connection = app.connection()

    assert (connection.hostname, connection.password) == ("broker", "secret")
    assert (connection.connect_timeout, connection.heartbeat) == (7, 11)
    assert connection.ssl == {"ca_certs": "/ca.pem"}


def test_pools_are_bounded_and_shared(app: App) -> None:
    app.conf.broker_pool_limit = 1

    with app.connection_or_acquire() as first:
        assert first is not None
        with pytest.raises(Exception, match="1"):
            app.pool.acquire(block=False)
    with app.producer_or_acquire() as producer:
        producer.publish({"x": 2}, routing_key="q", declare=[])
    with app.connection_or_acquire(first) as given:
        assert given is first
    app.close()


def bury(app: App, count: int = 1) -> list[str]:
    ids = [app.send_task("add", (number, 1)).id for number in range(count)]
    consumer = app.broker.consumer(app.queues(), "w1@test")
    deliveries = consumer.exchange(wanted=count)
    consumer.exchange([Settlement(it.tag, Verdict.DEAD, "rejected", "no") for it in deliveries])
    consumer.close()
    return ids


def test_dead_letters_are_listed_replayed_and_dropped(app: App) -> None:
    first, second = bury(app, 2)

    assert {letter.message.headers["id"] for letter in app.dead.list()} == {first, second}
    assert app.dead.list("elsewhere") == []
    assert app.dead.replay(first) == 1
    assert app.broker.depth("celery").ready_count == 1
    assert app.dead.drop(second) == 1
    assert app.dead.list() == []
    app.close()


def test_a_letter_is_replayed_with_other_arguments(app: App) -> None:
    (task_id,) = bury(app)

    assert app.dead.replay(task_id, args=[20, 22]) == 1

    (message,) = app.broker.peek("celery", 5)
    assert message.headers["argsrepr"] == "(20, 22)"
    app.close()


def test_mistakes_about_letters_are_named(app: App) -> None:
    bury(app, 2)

    with pytest.raises(UnknownLetterError, match="begins with 'nosuch'"):
        app.dead.drop("nosuch")
    with pytest.raises(ValueError, match="1 or more, not 0"):
        app.dead.list(limit=0)
    letters = [letter.letter_id for letter in app.dead.list()]
    with pytest.raises(ValueError, match="of one letter, not of 2"):
        app.dead.replay(*letters, args=[1])
    app.close()


def test_a_program_runs_a_worker_of_its_own(app: App) -> None:
    @app.task(name="add")
    def add(x: int, y: int) -> int:
        return x + y

    worker = app.Worker(pool="solo", concurrency=1, hostname="own@test", is_quiet=True)
    thread = threading.Thread(target=worker.start)
    thread.start()
    try:
        assert add.delay(2, 2).get(timeout=30) == 4
    finally:
        worker.stop()
        thread.join(30)
    assert worker.exitcode == 0
    app.close()


def test_an_unknown_option_of_a_worker_is_named(app: App) -> None:
    with pytest.raises(ImproperlyConfigured, match="no option colour; it has autoscale"):
        app.Worker(colour="red")


def test_an_app_can_be_pickled() -> None:
    app = make_app(broker=fresh_url(), timezone="Europe/Oslo", strict_typing=False)

    again = pickle.loads(pickle.dumps(app))

    assert again.main == app.main
    assert again.conf.timezone == "Europe/Oslo"
    assert again.conf.broker_url == app.conf.broker_url
    assert again.strict_typing is False


def test_a_workers_own_queue_is_celerys(app: App) -> None:
    spec = app.queue_spec(worker_direct("w1@host"))

    assert (spec.name, spec.exchange.name, spec.routing_key) == ("w1@host.dq2", "C.dq2", "w1@host")
    app.send_task("add", (1, 1), queue=worker_direct("w1@host"))
    assert app.broker.depth("w1@host.dq2").ready_count == 1
    app.close()
