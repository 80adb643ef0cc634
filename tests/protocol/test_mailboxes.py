"""What settings say of commands and events is declared and written as Celery's ends do it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery
from kombu import Connection
from test_wire_broadcast import declared, ours

from tqconsole.engine.app import App
from tqconsole.engine.brokers import open_broker
from tqconsole.engine.brokers.base import Broker
from tqconsole.engine.clock import LamportClock, ManualClock
from tqconsole.engine.control.asking import Asker
from tqconsole.engine.control.mailbox import Mailbox
from tqconsole.engine.control.selection import select
from tqconsole.engine.events.dispatcher import Dispatcher
from tqconsole.engine.exceptions import ImproperlyConfigured
from tqconsole.engine.protocol.event import decode_events
from tqconsole.engine.protocol.mailboxes import Mailboxes

SETTINGS: list[dict[str, Any]] = [
    {},
    {
        "event_exchange": "lab.ev",
        "event_queue_prefix": "lab.watch",
        "event_queue_expires": 30.0,
        "event_queue_ttl": 2.0,
        "control_exchange": "lab",
        "control_queue_expires": 20.0,
        "control_queue_ttl": 60.0,
    },
    {"event_queue_exclusive": False, "control_queue_exclusive": False},
    {
        "event_queue_exclusive": False,
        "event_queue_durable": True,
        "control_queue_exclusive": False,
        "control_queue_durable": True,
    },
]


@pytest.fixture
def broker() -> Iterator[Broker]:
    with open_broker(f"memory://{uuid.uuid4()}") as broker:
        yield broker


def both(settings: dict[str, Any]) -> tuple[Celery, Mailboxes]:
    celery = Celery(broker="memory://", changes=settings, set_as_current=False)
    app = App("ours", broker="memory://", changes=settings, set_as_current=False)
    return celery, app.mailboxes


@pytest.fixture(params=SETTINGS, ids=["defaults", "named", "shared", "durable"])
def ends(request: pytest.FixtureRequest) -> Iterator[tuple[Celery, Mailboxes, Connection]]:
    celery, mailboxes = both(request.param)
    with celery.connection_for_read() as connection:
        yield celery, mailboxes, connection


def test_events_are_read_from_celerys_queue(ends: tuple[Celery, Mailboxes, Connection]) -> None:
    celery, mailboxes, connection = ends
    theirs = celery.events.Receiver(connection, node_id="node", routing_key="#").queue

    assert ours(mailboxes.of_monitor("node")) == declared(theirs)


def test_commands_are_read_from_celerys_queue(ends: tuple[Celery, Mailboxes, Connection]) -> None:
    celery, mailboxes, connection = ends
    theirs = celery.control.mailbox.get_queue("w1@lab")(connection.default_channel)

    # kombu binds a fanout queue by its own name or none; both reach it.
    assert ours(mailboxes.of_node("w1@lab")) == {**declared(theirs), "key": ""}


def test_replies_are_read_from_celerys_queue(ends: tuple[Celery, Mailboxes, Connection]) -> None:
    celery, mailboxes, connection = ends
    mailbox = celery.control.mailbox
    theirs = mailbox.get_reply_queue()(connection.default_channel)

    assert ours(mailboxes.of_caller(mailbox.oid)) == declared(theirs)


@pytest.mark.parametrize("group", ["event", "control"])
def test_a_queue_of_one_connection_cannot_outlive_it(group: str) -> None:
    app = App(broker="memory://", set_as_current=False, changes={f"{group}_queue_durable": True})

    with pytest.raises(ImproperlyConfigured, match=f"Set {group}_queue_exclusive=False"):
        _ = app.mailboxes


@pytest.mark.parametrize("serializer", ["json", "pickle", "yaml"])
def test_events_are_written_in_the_format_asked_for(broker: Broker, serializer: str) -> None:
    _, mailboxes = both({"event_serializer": serializer})
    feed = broker.subscribe(mailboxes.of_monitor("m1"), ["#"])
    dispatcher = Dispatcher(broker, "w1@lab", ManualClock(9.0), LamportClock(), mailboxes=mailboxes)

    dispatcher.send_many([("task-started", {"uuid": "a"}), ("worker-online", {})])

    heard = [broadcasted.message for broadcasted in feed.receive(5)]
    assert {serializer in it.content_type or serializer == "pickle" for it in heard} == {True}
    events = [event for it in heard for event in decode_events(it, mailboxes.accepted_events)]
    assert sorted(event["type"] for event in events) == ["task-started", "worker-online"]
    assert {event["hostname"] for event in events} == {"w1@lab"}
    feed.close()


def test_commands_are_written_as_tasks_are(broker: Broker) -> None:
    _, mailboxes = both({"task_serializer": "yaml", "accept_content": ["yaml"]})
    node = Mailbox(broker, "w1@lab", mailboxes=mailboxes)
    asker = Asker(broker, ManualClock(), mailboxes)

    asker.cast("ping", {"n": 1}, select(None))

    (request,) = node.poll(5)
    assert (request.method, request.arguments) == ("ping", {"n": 1})
    node.close()


def test_clusters_of_two_names_do_not_hear_each_other(broker: Broker) -> None:
    _, lab = both({"control_exchange": "lab", "event_exchange": "lab.ev"})
    _, shop = both({"control_exchange": "shop"})
    nodes = {name: Mailbox(broker, "w1@x", mailboxes=it) for name, it in
             (("lab", lab), ("shop", shop))}  # fmt: skip
    feeds = {"lab": broker.subscribe(lab.of_monitor("m"), ["#"]),
             "shop": broker.subscribe(shop.of_monitor("m"), ["#"])}  # fmt: skip

    Asker(broker, ManualClock(), lab).cast("ping", {}, select(None))
    Dispatcher(broker, "w1@x", ManualClock(), LamportClock(), mailboxes=lab).send("worker-online")

    assert [name for name, node in nodes.items() if node.poll()] == ["lab"]
    assert [name for name, feed in feeds.items() if feed.receive(0)] == ["lab"]
    for end in (*nodes.values(), *feeds.values()):
        end.close()
