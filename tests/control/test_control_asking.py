"""Requests and replies through a real broker port: the memory broker and stub nodes."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from stub_panel import StubPanel

from tqconsole.engine.brokers import open_broker
from tqconsole.engine.brokers.base import Broker, Capabilities
from tqconsole.engine.control.client import Control
from tqconsole.engine.control.mailbox import Mailbox
from tqconsole.engine.control.table import run_command
from tqconsole.engine.exceptions import DuplicateNodenameWarning
from tqconsole.engine.protocol.control import PIDBOX
from tqconsole.engine.protocol.mailboxes import CELERYS
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.transfer import Publication, QueueSpec
from tqconsole.remote_control import ReadOnlyError, RemoteControl

#: Long enough that a test which has to wait for it fails by its other assertions.
PATIENCE_S = 20.0


class Node:
    """A worker's mailbox in a thread of its own, and a consumer so that the broker knows it."""

    def __init__(self, broker: Broker, name: str, *, is_listed: bool = True) -> None:
        self.panel = StubPanel(name)
        self.mailbox = Mailbox(broker, name)
        self.consumer = broker.consumer([QueueSpec("celery")], name) if is_listed else None
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while not self._is_over.is_set():
            for request in self.mailbox.poll(0.02):
                value = run_command(self.panel, request.method, request.arguments)
                self.mailbox.answer(request, value)

    def stop(self) -> None:
        self._is_over.set()
        self._thread.join(5)
        self.mailbox.close()
        if self.consumer is not None:
            self.consumer.close()


@pytest.fixture
def broker() -> Broker:
    return open_broker(f"memory://{uuid.uuid4()}")


@pytest.fixture
def control(broker: Broker) -> Control:
    return Control(
        SimpleNamespace(broker=broker, mailboxes=CELERYS, queues=lambda: [QueueSpec("celery")])
    )


@pytest.fixture
def node(broker: Broker) -> Iterator[Callable[..., Node]]:
    nodes: list[Node] = []

    def start(name: str, **options: Any) -> Node:
        nodes.append(Node(broker, name, **options))
        return nodes[-1]

    yield start
    for one in nodes:
        one.stop()


def test_asking_ends_with_the_last_worker(control: Control, node: Callable[..., Node]) -> None:
    node("w1@lab")
    node("w2@lab")

    answers = control.ask("ping", timeout_s=PATIENCE_S)

    assert answers.replies == {"w1@lab": {"ok": "pong"}, "w2@lab": {"ok": "pong"}}
    assert answers.missing == ()
    assert answers.known_count == 2
    assert answers.elapsed_s < PATIENCE_S / 2


def test_asking_nobody_ends_at_once(control: Control) -> None:
    answers = control.ask("ping", timeout_s=PATIENCE_S)

    assert answers.replies == {}
    assert answers.elapsed_s < PATIENCE_S / 2


def test_a_short_name_finds_its_node(control: Control, node: Callable[..., Node]) -> None:
    node("w1@lab")
    node("w12@lab")

    answers = control.ask("ping", destination="w1", timeout_s=PATIENCE_S)

    assert list(answers.replies) == ["w1@lab"]
    assert answers.missing == ()
    assert answers.elapsed_s < PATIENCE_S / 2


def test_a_short_name_of_several_gets_all_their_answers(
    control: Control, node: Callable[..., Node]
) -> None:
    node("w1@lab")
    node("w1@shed")

    answers = control.ask("ping", destination=["w1"], timeout_s=PATIENCE_S)

    assert set(answers.replies) == {"w1@lab", "w1@shed"}


def test_several_names_go_as_one_request(control: Control, node: Callable[..., Node]) -> None:
    for name in ("w1@lab", "w2@lab", "w3@lab"):
        node(name)

    answers = control.ask("ping", destination=["w1", "w3@lab", "x*"], timeout_s=PATIENCE_S)

    assert set(answers.replies) == {"w1@lab", "w3@lab"}
    assert answers.missing == ("x*",)


def test_a_name_nobody_bears_is_missing(control: Control, node: Callable[..., Node]) -> None:
    node("w1@lab")

    answers = control.ask("ping", destination=["w1@lab", "w9@lab"], timeout_s=PATIENCE_S)

    assert list(answers.replies) == ["w1@lab"]
    assert answers.missing == ("w9@lab",)
    assert answers.elapsed_s < PATIENCE_S / 2


def test_a_silent_worker_is_missing(control: Control, broker: Broker) -> None:
    broker.consumer([QueueSpec("celery")], "deaf@lab")
    mailbox = Mailbox(broker, "deaf@lab")

    answers = control.ask("ping", timeout_s=0.05)

    assert answers.missing == ("deaf@lab",)
    mailbox.close()


def test_a_worker_the_broker_does_not_list_is_waited_for(
    control: Control, node: Callable[..., Node]
) -> None:
    node("foreign@lab", is_listed=False)

    answers = control.ask("ping", destination=["foreign@lab"], timeout_s=PATIENCE_S)

    assert list(answers.replies) == ["foreign@lab"]


def test_without_knowledge_the_count_of_listeners_ends_it(
    control: Control,
    broker: Broker,
    node: Callable[..., Node],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(broker, "capabilities", Capabilities(knows_workers=False), raising=False)
    node("w1@lab")

    answers = control.ask("ping", timeout_s=PATIENCE_S)

    assert answers.known_count == 1
    assert answers.elapsed_s < PATIENCE_S / 2


def test_without_any_knowledge_the_timeout_is_waited(
    control: Control,
    broker: Broker,
    node: Callable[..., Node],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real_broadcast = broker.broadcast
    monkeypatch.setattr(broker, "capabilities", Capabilities(knows_workers=False), raising=False)
    monkeypatch.setattr(broker, "broadcast", lambda *given: real_broadcast(*given) and None)
    node("w1@lab")

    answers = control.ask("ping", timeout_s=0.3)

    assert list(answers.replies) == ["w1@lab"]
    assert answers.known_count is None
    assert answers.elapsed_s >= 0.3


def test_two_nodes_of_one_name_are_warned_of(control: Control, node: Callable[..., Node]) -> None:
    node("w1@lab")
    node("w1@lab", is_listed=False)

    with pytest.warns(DuplicateNodenameWarning, match="w1@lab"):
        answers = control.ask("ping", timeout_s=PATIENCE_S)

    assert answers.duplicates == ("w1@lab",)


def test_broadcast_casts_unless_a_reply_is_wanted(
    control: Control, node: Callable[..., Node]
) -> None:
    node("w1@lab")

    assert control.broadcast("ping") is None
    assert control.broadcast("ping", reply=True) == [{"w1@lab": {"ok": "pong"}}]


def test_replies_are_told_one_by_one(control: Control, node: Callable[..., Node]) -> None:
    node("w1@lab")
    heard: list[Any] = []

    control.broadcast("ping", reply=True, callback=heard.append)

    assert heard == [{"w1@lab": {"ok": "pong"}}]


def test_inspect_answers_as_celerys(control: Control, node: Callable[..., Node]) -> None:
    assert control.inspect().ping() is None

    node("w1@lab")

    assert control.inspect().ping() == {"w1@lab": {"ok": "pong"}}
    assert control.inspect(destination="w1@lab").clock() == {"clock": 41}
    assert control.inspect(pattern="w*", matcher="glob").revoked() == {"w1@lab": ["old"]}
    assert control.inspect().query_task("id-1", "x")["w1@lab"].keys() == {"id-1"}
    assert control.inspect().query_task(["id-1"])["w1@lab"].keys() == {"id-1"}


def test_control_speaks_every_command(control: Control, node: Callable[..., Node]) -> None:
    panel = node("w1@lab").panel
    options: dict[str, Any] = {"reply": True, "timeout": PATIENCE_S}

    control.revoke("id-7", **options)
    control.terminate(["id-1"], signal="SIGKILL", **options)
    control.rate_limit("proj.tasks.add", "5/s", **options)
    control.time_limit("proj.tasks.add", soft=1, hard=2, **options)
    control.add_consumer("q", routing_key="k", options={"max_priority": 3}, **options)
    control.cancel_consumer("q", **options)
    control.pool_grow(3, **options)
    control.heartbeat(**options)
    control.shutdown(**options)

    assert "id-7" in panel.revoked_now
    assert panel.calls == [
        ("terminate", ("id-1",), "SIGKILL"),
        ("rate_limit", "proj.tasks.add", "5/s"),
        ("time_limit", "proj.tasks.add", 2, 1),
        ("add_consumer", "q", None, "direct", "k", {"max_priority": 3}),
        ("cancel_consumer", "q"),
        ("grow", 3),
        ("heartbeat",),
        ("shutdown",),
    ]


def test_further_keywords_are_arguments(control: Control, node: Callable[..., Node]) -> None:
    panel = node("w1@lab").panel

    control.broadcast("pool_grow", reply=True, n=4)

    assert panel.calls == [("grow", 4)]


def test_purge_empties_the_apps_queues(control: Control, broker: Broker) -> None:
    broker.publish([Publication(Message(b"{}"), "celery"), Publication(Message(b"{}"), "other")])

    assert control.purge() == 1
    assert broker.depth("other").ready_count == 1


def test_junk_in_the_mailbox_is_dropped(
    control: Control, broker: Broker, node: Callable[..., Node]
) -> None:
    node("w1@lab")
    for body in (b"", b"\xff", b"[]", b'{"method": 3}', b'{"method": "ping", "arguments": []}'):
        broker.broadcast(PIDBOX, [Publication(Message(body), "", PIDBOX.name)])

    assert list(control.ask("ping", timeout_s=PATIENCE_S).replies) == ["w1@lab"]


def test_a_value_json_cannot_carry_goes_as_its_repr(
    control: Control, node: Callable[..., Node]
) -> None:
    panel = node("w1@lab").panel
    panel.revoked_now = [{1}]  # type: ignore[list-item]  # what a careless command returns

    assert control.ask("revoked", timeout_s=PATIENCE_S).replies == {"w1@lab": ["{1}"]}


def test_the_remote_control_asks_and_commands(control: Control, node: Callable[..., Node]) -> None:
    panel = node("w1@lab").panel
    remote = RemoteControl(control, timeout_s=PATIENCE_S)

    assert remote.active(is_safe=True).replies["w1@lab"][0]["args"] == "[2, 2]"
    assert remote.pool_grow(2, "w1").replies == {"w1@lab": {"ok": "pool will grow"}}
    assert remote.pool_shrink().errors.keys() == {"w1@lab"}
    assert panel.calls == [("grow", 2)]


@pytest.mark.parametrize("command", ["shutdown", "enable_events", "heartbeat", "objgraph", "mine"])
def test_read_only_refuses_what_changes_something(control: Control, command: str) -> None:
    remote = RemoteControl(control, is_read_only=True)

    with pytest.raises(ReadOnlyError, match="read-only"):
        remote.run(command)


def test_read_only_still_asks(control: Control, node: Callable[..., Node]) -> None:
    node("w1@lab")

    assert RemoteControl(control, is_read_only=True).ping().replies == {"w1@lab": {"ok": "pong"}}


@pytest.fixture
def blind_broker(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> Broker:
    """A broker that neither counts who listens nor knows its workers, as RabbitMQ."""
    send = broker.broadcast
    monkeypatch.setattr(broker, "capabilities", Capabilities(knows_workers=False), raising=False)
    monkeypatch.setattr(broker, "broadcast", lambda *arguments: send(*arguments) and None)
    return broker


@pytest.mark.usefixtures("blind_broker")
def test_one_reply_may_be_enough(control: Control, node: Callable[..., Node]) -> None:
    node("w1@lab")

    answers = RemoteControl(control, timeout_s=PATIENCE_S).registered(
        is_enough=lambda names: isinstance(names, list)
    )

    assert list(answers.replies) == ["w1@lab"]
    assert answers.elapsed_s < PATIENCE_S / 2
    assert answers.missing == ()


@pytest.mark.usefixtures("blind_broker")
def test_a_reply_that_is_not_enough_lets_it_wait(
    control: Control, node: Callable[..., Node]
) -> None:
    node("w1@lab")
    node("w2@lab")

    answers = control.ask("ping", timeout_s=1.0, is_enough=lambda value: value == "more")

    assert set(answers.replies) == {"w1@lab", "w2@lab"}
    assert answers.elapsed_s >= 1.0


def test_the_other_commands_reach_the_worker_too(
    control: Control, node: Callable[..., Node]
) -> None:
    panel = node("w1@lab").panel
    options: dict[str, Any] = {"reply": True, "timeout": PATIENCE_S}

    replies = [
        control.enable_events(**options),
        control.disable_events(**options),
        control.pool_shrink(2, **options),
        control.autoscale(5, 2, **options),
        control.pool_restart(["proj.tasks"], reload=True, **options),
        control.revoke_by_stamped_headers({"job": ["x"]}, **options),
    ]

    assert all(reply and set(reply[0]) == {"w1@lab"} for reply in replies), replies
    errors = [reply[0]["w1@lab"] for reply in replies if reply and "error" in reply[0]["w1@lab"]]
    assert [error["error"] for error in errors if "unknown" in error["error"]] == []
    assert panel.calls


def test_commands_are_cast_when_nobody_asks_for_replies(
    control: Control, node: Callable[..., Node]
) -> None:
    panel = node("w1@lab").panel

    assert control.pool_grow(3) is None
    assert control.rate_limit("proj.tasks.add", "5/s") is None
    assert control.ping(timeout=PATIENCE_S) == [{"w1@lab": {"ok": "pong"}}]

    assert panel.calls == [("grow", 3), ("rate_limit", "proj.tasks.add", "5/s")]


@pytest.mark.parametrize(
    ("pattern", "matcher"), [("w*@lab", "glob"), (r"w\d@.*", "pcre"), ("w[12]@*", "glob")]
)
def test_nodes_are_chosen_by_a_pattern(
    control: Control, node: Callable[..., Node], pattern: str, matcher: str
) -> None:
    for name in ("w1@lab", "w2@lab", "other@lab"):
        node(name)

    replies = control.ping(timeout=PATIENCE_S, pattern=pattern, matcher=matcher, limit=2)

    assert {name for reply in replies for name in reply} == {"w1@lab", "w2@lab"}
