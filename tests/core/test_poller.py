"""The thread that asks: many queues take turns, and the next message is looked at."""

from fakes import ListBroker, TableControl

from tqconsole.core.poller import QUEUES_AT_ONCE, Poller
from tqconsole.engine.brokers.base import Capabilities
from tqconsole.engine.clock import SYSTEM_CLOCK
from tqconsole.engine.protocol.task import TaskCall, encode_task
from tqconsole.engine.protocol.transfer import QueueDepth
from tqconsole.remote_control import RemoteControl


def poller_of(broker):
    return Poller(broker, RemoteControl(TableControl()), SYSTEM_CLOCK)


def told(poller):
    facts = []
    while (fact := poller.take()) is not None:
        facts.append((fact.kind, fact.value))
    return facts


def test_a_thousand_queues_are_asked_in_turns():
    broker = ListBroker()
    broker.depths = {f"q{number:04}": QueueDepth(number) for number in range(1000)}
    poller = poller_of(broker)

    for _ in range(5):
        poller._ask_depths()

    depths = [value for kind, value in told(poller) if kind == "depths"]
    assert max(map(len, depths)) == QUEUES_AT_ONCE
    assert {name for value in depths for name in value} == set(broker.depths)


def test_the_next_message_is_looked_at_where_its_age_is_not_known():
    broker = ListBroker()
    broker.capabilities = Capabilities(can_peek=True)
    broker.depths = {"dated": QueueDepth(1, oldest_at=5.0), "q": QueueDepth(1), "e": QueueDepth(0)}
    broker.peeked = [encode_task(TaskCall(task_id="t1", task_name="n", args=[], kwargs={}))]
    poller = poller_of(broker)

    poller._ask_depths()
    poller._ask_heads()

    assert ("heads", {"q": "t1"}) in told(poller)
