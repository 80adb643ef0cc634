"""Events out and in: batches, keys, clocks, and listeners that come and go."""

from __future__ import annotations

import threading
import uuid
from typing import Any

import pytest

from tqconsole.engine.brokers import open_broker
from tqconsole.engine.brokers.base import Broker
from tqconsole.engine.clock import SYSTEM_CLOCK, LamportClock, ManualClock
from tqconsole.engine.events.dispatcher import Dispatcher
from tqconsole.engine.events.facade import Events
from tqconsole.engine.events.receiver import Receiver
from tqconsole.engine.exceptions import TimeoutError as WaitTimeoutError
from tqconsole.engine.protocol.control import PIDBOX, decode_request, worker_mailbox
from tqconsole.engine.protocol.event import EVENTS, decode_events, encode_events, event_mailbox
from tqconsole.engine.protocol.mailboxes import CELERYS
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.transfer import Broadcasted, Publication


@pytest.fixture
def broker() -> Broker:
    return open_broker(f"memory://{uuid.uuid4()}")


@pytest.fixture
def dispatcher(broker: Broker) -> Dispatcher:
    return Dispatcher(broker, "w1@lab", ManualClock(1_800_000_000.0), LamportClock(9))


def _heard(broker: Broker, pattern: str = "#") -> Any:
    return broker.subscribe(event_mailbox(str(uuid.uuid4())), [pattern])


def _keys(heard: list[Broadcasted]) -> list[str]:
    return [one.routing_key for one in heard]


def test_an_event_has_the_common_fields(broker: Broker, dispatcher: Dispatcher) -> None:
    feed = _heard(broker)

    dispatcher.send("worker-online", freq=2.0)

    (heard,) = feed.receive(1)
    (event,) = decode_events(heard.message)
    assert heard.routing_key == "worker.online"
    assert heard.message.headers == {"hostname": "w1@lab"}
    assert event.keys() == {"hostname", "utcoffset", "pid", "clock", "timestamp", "type", "freq"}
    assert (event["clock"], event["timestamp"]) == (10, 1_800_000_000.0)


def test_task_events_go_as_one_batch(broker: Broker, dispatcher: Dispatcher) -> None:
    feed = _heard(broker)

    dispatcher.send_many(
        [
            ("task-received", {"uuid": "a"}),
            ("worker-heartbeat", {}),
            ("task-started", {"uuid": "a"}),
        ]
    )

    heard = feed.receive(1)
    assert _keys(heard) == ["worker.heartbeat", "task.multi"]
    assert [event["type"] for event in decode_events(heard[1].message)] == [
        "task-received",
        "task-started",
    ]


def test_the_count_of_listeners_comes_back(broker: Broker, dispatcher: Dispatcher) -> None:
    assert dispatcher.send("task-started", uuid="a") == 0

    feed = _heard(broker, "task.*")

    assert dispatcher.send_many([("task-started", {"uuid": "a"})]) == 1
    feed.close()


def test_a_disabled_dispatcher_is_silent(broker: Broker, dispatcher: Dispatcher) -> None:
    feed = _heard(broker)
    dispatcher.disable()

    assert dispatcher.send("worker-online") is None
    assert dispatcher.send_many([("task-started", {})]) is None
    assert feed.receive(0) == []

    dispatcher.enable()
    assert dispatcher.send("worker-online") == 1


class _App:
    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.mailboxes = CELERYS
        self.clock = LamportClock()


def _receiver(broker: Broker, handlers: Any, **options: Any) -> Receiver:
    return Receiver(broker, SYSTEM_CLOCK, LamportClock(5), handlers, **options)


def test_a_receiver_hands_events_to_their_handlers(broker: Broker, dispatcher: Dispatcher) -> None:
    failed: list[Any] = []
    others: list[Any] = []
    receiver = _receiver(broker, {"task-failed": failed.append, "*": others.append})
    capture = receiver.itercapture(limit=1, wakeup=False)
    _start(capture, dispatcher, [("task-failed", {"uuid": "a"}), ("task-started", {"uuid": "b"})])

    assert [event["uuid"] for event in failed] == ["a"]
    assert [event["uuid"] for event in others] == ["b"]
    assert "local_received" in failed[0]


def _start(capture: Any, dispatcher: Dispatcher, events: list[Any]) -> None:
    """Send once somebody listens: the subscription is made by the first step of the capture."""
    pause = threading.Event()

    def send() -> None:
        while not dispatcher.send_many(events):
            pause.wait(0.005)

    sender = threading.Thread(target=send)
    sender.start()
    list(capture)
    sender.join()


def test_a_silent_cluster_ends_in_time(broker: Broker) -> None:
    with pytest.raises(WaitTimeoutError):
        _receiver(broker, {}).capture(timeout=0.05)


def test_a_receiver_can_be_told_to_stop(broker: Broker) -> None:
    receiver = _receiver(broker, {})
    receiver.should_stop = True

    receiver.capture()


def test_a_new_receiver_wakes_the_workers(broker: Broker) -> None:
    mailbox = broker.subscribe(worker_mailbox("w1@lab"), [""])

    _receiver(broker, {}).wakeup_workers()

    request = decode_request(mailbox.receive(1)[0].message)
    assert (request.method, request.ticket) == ("heartbeat", None)
    assert PIDBOX.name == "celery.pidbox"


def test_junk_is_no_event(broker: Broker) -> None:
    receiver = _receiver(broker, {"*": pytest.fail})

    receiver._handle(Message(b"\xff\x00"))
    receiver._handle(Message(b'[1, {"no": "type"}]'))


def test_a_clients_event_counts_as_just_before(broker: Broker) -> None:
    receiver = _receiver(broker, {})

    _, sent = receiver.event_from_message({"type": "task-sent", "clock": 900})
    _, started = receiver.event_from_message({"type": "task-started", "clock": 900})

    assert sent["clock"] == 4
    assert started["clock"] == 900
    assert receiver._lamport.value == 901


def test_clock_is_past_all_that_was_heard(broker: Broker) -> None:
    receiver = _receiver(broker, {})
    sent = [{"type": "task-sent", "clock": 900}]

    receiver._handle(encode_events([{"type": "task-started", "clock": it} for it in (7, 9, 8)]))
    assert receiver._lamport.value == 10

    receiver._handle(encode_events(sent))
    receiver._handle(encode_events(sent * 2))
    assert receiver._lamport.value == 10


def test_a_timestamp_of_another_zone_is_shifted(broker: Broker) -> None:
    receiver = _receiver(broker, {})
    here = receiver._utcoffset

    _, event = receiver.event_from_message(
        {"type": "x", "timestamp": 7200.0, "utcoffset": here + 1}
    )
    _, same = receiver.event_from_message(
        {"type": "x", "timestamp": 7200.0, "utcoffset": here + 1}, localize=False
    )

    assert event["timestamp"] == 3600.0
    assert same["timestamp"] == 7200.0


def test_the_facade_speaks_for_its_app(broker: Broker) -> None:
    events = Events(_App(broker), "gen1@lab")
    feed = _heard(broker)

    events.default_dispatcher().send("task-progress", uuid="a")
    events.Dispatcher("any connection", hostname="other@lab").send("task-x")

    names = [decode_events(one.message)[0]["hostname"] for one in feed.receive(1)]
    assert names == ["gen1@lab", "other@lab"]
    assert events.default_dispatcher() is events.default_dispatcher()
    assert isinstance(events.Receiver(None, {}), Receiver)
    assert events.State().event_count == 0


def test_a_batch_under_any_key_is_read(broker: Broker) -> None:
    heard: list[Any] = []
    receiver = _receiver(broker, {"*": heard.append})

    receiver._handle(Message(b'[{"type": "task-a"}, {"type": "task-b"}]'))

    assert [event["type"] for event in heard] == ["task-a", "task-b"]
    assert Publication(Message(b""), "x", EVENTS.name).exchange == "celeryev"
