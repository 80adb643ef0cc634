"""kombu on the embedded store: what happens later, after deaths, forks and failures."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kombu import Connection
from kombu.asynchronous import Hub
from kombu.exceptions import OperationalError as KombuOperationalError
from kombu_rig import OURS, PATIENCE_S, TASKS, Inbox, consume, send

from tqconsole.engine.brokers.sqlite import SqliteBroker
from tqconsole.engine.embedded import guest
from tqconsole.engine.exceptions import OperationalError
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.transfer import (
    Handover,
    Publication,
    Settlement,
    Verdict,
)


def test_parked_message_is_delivered_when_due(connection: Connection, broker: SqliteBroker) -> None:
    consumer = broker.consumer([OURS], "w1@test")
    broker.publish([Publication(Message(b"1"), "celery", "celery")])
    (delivery,) = consumer.exchange(wanted=1)
    consumer.park([(delivery.tag, broker.store.clock.now() + 0.2)])
    consumer.close()
    inbox = Inbox()
    consume(connection, TASKS, inbox)

    connection.drain_events(timeout=PATIENCE_S)

    assert inbox.bodies == [1]


VICTIM = """
import os, sys
import tqconsole.kombu
from kombu import Connection, Exchange, Queue
connection = Connection(sys.argv[1])
queue = Queue("celery", Exchange("celery"), routing_key="celery")
def hold(message):
    print("held", flush=True)
connection.Consumer([queue], on_message=hold).consume()
connection.drain_events(timeout=10)
sys.stdin.read()
"""


@pytest.mark.slow
def test_killed_consumers_message_comes_back(tmp_path: Path) -> None:
    url = f"sqlite://{tmp_path}/queue.db"
    with Connection(url) as connection:
        send(connection, 1)
        victim = subprocess.Popen(
            [sys.executable, "-c", VICTIM, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        with victim:
            assert victim.stdout is not None
            assert victim.stdout.readline() == b"held\n"
            victim.send_signal(signal.SIGKILL)
            victim.wait(PATIENCE_S)
        inbox = Inbox()
        consume(connection, TASKS, inbox)

        connection.drain_events(timeout=PATIENCE_S)

        assert inbox.messages[0].delivery_info["redelivered"] is True


def test_lost_task_of_our_dead_worker_is_left_to_ours(tmp_path: Path) -> None:
    broker = SqliteBroker(f"sqlite://{tmp_path}/queue.db")
    dead = broker.consumer([OURS], "w1@test")
    messages = [Message(b"%d" % number) for number in range(2)]
    broker.publish([Publication(one, "celery", "celery") for one in messages])
    early, late = dead.exchange(wanted=2)
    dead.exchange(started=[Handover(early.tag, True), Handover(late.tag, False)])
    # As a killed process: the socket goes, its file and rows stay.
    dead._hold._bell._socket.close()

    returned_count = guest.give_back(broker.store, [])

    ours = broker.consumer([OURS], "w2@test")
    lost = ours.give_back(5).lost
    (again,) = ours.exchange(wanted=5)
    assert returned_count == 1
    assert [one.message.body for one in lost] == [b"0"]
    assert (again.message.body, again.deaths) == (b"1", 1)
    ours.exchange([Settlement(one.tag, Verdict.ACK) for one in (*lost, again)])
    ours.close()
    broker.close()


def in_forked_child(action: Callable[[], Any]) -> None:
    child = os.fork()
    if child == 0:
        code = 1
        try:
            action()
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_forked_child_publishes_and_the_parent_goes_on(connection: Connection) -> None:
    inbox = Inbox()
    send(connection, "parent")
    consume(connection, TASKS, inbox)

    in_forked_child(lambda: send(connection, "child"))

    for _ in range(2):
        connection.drain_events(timeout=PATIENCE_S)
    assert inbox.bodies == ["parent", "child"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_forked_child_consumes_under_its_own_name(
    connection: Connection, broker: SqliteBroker
) -> None:
    inbox = Inbox()
    consume(connection, TASKS, inbox)
    send(connection, 1)

    def drain() -> None:
        connection.drain_events(timeout=PATIENCE_S)
        assert broker.depth("celery").consumer_count == 2
        inbox.messages[0].ack()
        connection.close()

    in_forked_child(drain)

    assert broker.depth("celery").ready_count == 0
    assert broker.depth("celery").consumer_count == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_child_that_closes_takes_nothing_from_its_parent(
    connection: Connection, broker: SqliteBroker
) -> None:
    hub = Hub()
    connection.register_with_event_loop(hub)
    inbox = Inbox()
    consume(connection, TASKS, inbox)
    send(connection, 1)
    hub.run_once()

    in_forked_child(connection.close)

    depth = broker.depth("celery")
    assert (depth.unacked_count, depth.consumer_count) == (1, 1)
    inbox.messages[0].ack()
    send(connection, 2)
    hub.run_once()
    assert inbox.bodies == [1, 2]
    connection.close()
    hub.close()


def test_consumer_that_lost_its_lease_registers_again(
    connection: Connection, broker: SqliteBroker
) -> None:
    inbox = Inbox()
    consume(connection, TASKS, inbox)
    for table in ("consumer", "subscription"):
        broker.store.main.write(lambda it, table=table: it.run(f"DELETE FROM {table}"))

    send(connection, 1)
    connection.drain_events(timeout=PATIENCE_S)
    inbox.messages[0].ack()

    depth = broker.depth("celery")
    assert (depth.unacked_count, depth.consumer_count) == (0, 1)


def test_hub_delivers_and_is_left_clean(connection: Connection, broker: SqliteBroker) -> None:
    hub = Hub()
    connection.register_with_event_loop(hub)
    inbox = Inbox()
    consume(connection, TASKS, inbox)
    hub.run_once()
    bells = set(hub.readers)
    for number in range(3):
        broker.publish([Publication(Message(b"%d" % number), "celery", "celery")])

    for _ in range(100):
        hub.run_once()
        if len(inbox.messages) == 3:
            break

    assert inbox.bodies == [0, 1, 2]
    assert bells
    connection.close()
    assert not hub.readers
    assert not hub.on_tick
    hub.close()


def test_store_failure_is_a_connection_error(connection: Connection) -> None:
    assert OperationalError in connection.connection_errors


def test_failed_publish_raises_kombus_error(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: Any, **_options: Any) -> None:
        raise OperationalError("the disk is full")

    connection.connect()
    monkeypatch.setattr(connection.transport.store.main, "write", fail)

    with pytest.raises(KombuOperationalError, match="disk is full"):
        send(connection, 1, retry=True, retry_policy={"max_retries": 1, "interval_start": 0})
    monkeypatch.undo()


def test_waiting_ends_with_a_timeout(connection: Connection) -> None:
    consume(connection, TASKS, Inbox())

    with pytest.raises(TimeoutError):
        connection.drain_events(timeout=0.01)
