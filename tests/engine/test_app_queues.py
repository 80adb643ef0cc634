from __future__ import annotations

from typing import Any

import pytest
from client_rig import RecordingBroker, make_app, sent
from kombu import Queue

from tqconsole.engine.exceptions import ImproperlyConfigured, QueueNotFound
from tqconsole.engine.protocol.transfer import ExchangeSpec, QueueSpec


def names(app: Any) -> list[str]:
    return [queue.name for queue in app.queues()]


def test_the_default_queue_is_celery() -> None:
    (queue,) = make_app().queues()

    assert queue == QueueSpec("celery", ExchangeSpec("celery", "direct"), "celery")


def test_an_unknown_name_makes_a_direct_queue() -> None:
    spec = make_app().queue_spec("new")

    assert spec == QueueSpec("new", ExchangeSpec("new", "direct"), "new")


def test_an_unknown_name_may_be_an_error() -> None:
    app = make_app(task_create_missing_queues=False, task_queues={"known": {}})

    with pytest.raises(QueueNotFound, match="known"):
        app.send_task("x", queue="nosuch")
    with pytest.raises(QueueNotFound):
        app.select_queues(["nosuch"])


def test_listed_queues_are_consumed() -> None:
    kombu = pytest.importorskip("kombu")
    app = make_app(
        task_queues=[
            kombu.Queue("a", kombu.Exchange("e", type="topic"), routing_key="k.#"),
            QueueSpec("b"),
        ]
    )

    first, second = app.queues()

    assert first == QueueSpec("a", ExchangeSpec("e", "topic"), "k.#")
    assert second.name == "b"


def test_a_mapping_describes_queues_by_name() -> None:
    app = make_app(
        task_queues={"media": {"exchange": "m", "exchange_type": "topic", "routing_key": "v.*"}}
    )

    assert app.queues() == [QueueSpec("media", ExchangeSpec("m", "topic"), "v.*")]


def test_queues_are_selected_and_excluded() -> None:
    app = make_app(task_queues={"a": {}, "b": {}, "c": {}})

    app.deselect_queues(["b"])
    assert names(app) == ["a", "c"]

    app.select_queues(["c", "new", "b"])
    assert names(app) == ["c", "new"]


def test_priority_and_type_of_queues_come_from_the_settings() -> None:
    app = make_app(
        task_queue_max_priority=10,
        task_default_queue_type="quorum",
        task_create_missing_queue_type="quorum",
    )

    for spec in (app.queues()[0], app.queue_spec("new")):
        assert (spec.max_priority, spec.arguments) == (10, {"x-queue-type": "quorum"})


def test_a_queue_needs_a_name() -> None:
    with pytest.raises(ImproperlyConfigured, match="no name"):
        make_app(task_queues={"": {}}).queues()


@pytest.fixture
def topics() -> Any:
    return make_app(
        broker=RecordingBroker(),
        task_queues={"feeds": {"exchange": "f", "exchange_type": "topic", "routing_key": "f.#"}},
    )


class TestAddress:
    def test_a_direct_queue_is_reached_by_its_name(self) -> None:
        app = make_app()

        publication, _ = app.build_call("x", queue="low")

        assert (publication.exchange, publication.routing_key) == ("", "low")

    def test_exchange_and_key_together_are_taken(self) -> None:
        publication, _ = make_app().build_call("x", exchange="e", routing_key="k")

        assert (publication.exchange, publication.routing_key) == ("e", "k")

    def test_an_exchange_alone_means_the_default_queue(self) -> None:
        publication, _ = make_app().build_call("x", exchange="e")

        assert (publication.exchange, publication.routing_key) == ("", "celery")

    def test_a_topic_queue_is_reached_by_its_exchange(self, topics: Any) -> None:
        by_queue, _ = topics.build_call("x", queue="feeds")
        by_key, _ = topics.build_call("x", queue="feeds", routing_key="f.import")

        assert (by_queue.exchange, by_queue.routing_key) == ("f", "f.#")
        assert (by_key.exchange, by_key.routing_key) == ("f", "f.import")

    def test_a_topic_queue_is_declared_once(self, topics: Any) -> None:
        for _ in range(3):
            topics.send_task("x", queue="feeds", routing_key="f.import")

        assert [queue.name for queue in topics.broker.declared] == ["feeds"]
        assert len(sent(topics, "feeds")) == 3

    def test_a_plain_queue_needs_no_declaration(self) -> None:
        app = make_app(broker=RecordingBroker())

        app.send_task("x")

        assert app.broker.declared == []

    def test_a_route_says_where(self) -> None:
        app = make_app(task_routes={"proj.*": {"queue": "low", "priority": 2}})

        app.send_task("proj.add")
        app.send_task("proj.add", queue="mine", priority=8)

        assert sent(app, "low")[0].properties["priority"] == 2
        assert sent(app, "mine")[0].properties["priority"] == 8

    def test_a_rate_in_a_route_is_warned_about(self) -> None:
        app = make_app(task_routes={"proj.add": {"rate_limit": "10/m"}})

        with pytest.warns(UserWarning, match="task_annotations"):
            app.send_task("proj.add")

        assert "rate_limit" not in sent(app)[0].properties

    def test_an_empty_name_is_the_default_queue(self) -> None:
        app = make_app()

        app.send_task("x", queue="")

        assert len(sent(app)) == 1

    @pytest.mark.parametrize("option", ["queue", "exchange", "routing_key"])
    def test_an_address_that_is_no_name_is_refused(self, option: str) -> None:
        app = make_app()

        with pytest.raises(ImproperlyConfigured, match=r"name.*, not 7"):
            app.send_task("x", **{option: 7})

        assert sent(app) == []

    def test_a_bad_delivery_mode_is_refused(self) -> None:
        with pytest.raises(ImproperlyConfigured, match="delivery_mode"):
            make_app().send_task("x", delivery_mode="forever")


def test_queues_without_acknowledging_are_known() -> None:
    app = make_app(task_queues=[Queue("careful"), Queue("careless", no_ack=True)])

    assert app.no_ack_queues == {"careless"}
    assert [queue.is_no_ack for queue in app.queues()] == [False, True]


def test_a_broadcast_is_known_by_its_alias() -> None:
    common = pytest.importorskip("kombu.common")
    app = make_app(task_queues=[common.Broadcast("news")])

    app.select_queues(["news"])

    (queue,) = app.queues()
    assert queue.name.startswith("bcast.")
    # kombu's Redis listens by the key of the binding, and Celery binds with the default one.
    assert (queue.exchange, queue.routing_key) == (ExchangeSpec("news", "fanout"), "celery")
    assert queue.is_auto_delete
    assert app.queue_spec("news") == queue
