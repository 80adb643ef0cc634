"""Stand-ins for what a session talks to: a broker of lists, a control that answers from a table."""

import threading

from tqconsole.engine.backends.base import Backend
from tqconsole.engine.brokers.base import Broker, Capabilities, Subscription
from tqconsole.engine.control.answer import Answers
from tqconsole.engine.protocol.event import encode_events, routing_key
from tqconsole.engine.protocol.transfer import Broadcasted, QueueDepth


class ListSubscription(Subscription):
    def __init__(self):
        self._arrived = threading.Condition()
        self._messages = []
        self._error = None
        self.missed = 0
        self.is_closed = False

    def put(self, *events):
        message = Broadcasted(routing_key(events[0]["type"]), encode_events(list(events)))
        with self._arrived:
            self._messages.append(message)
            self._arrived.notify()

    def fail(self, error):
        with self._arrived:
            self._error = error
            self._arrived.notify()

    def receive(self, timeout_s):
        with self._arrived:
            if not self._messages and self._error is None:
                self._arrived.wait(timeout_s)
            if self._error is not None:
                raise self._error
            messages, self._messages = self._messages, []
            return messages

    def fileno(self):
        return None

    @property
    def missed_count(self):
        return self.missed

    def close(self):
        self.is_closed = True


class ListBroker(Broker):
    capabilities = Capabilities(knows_workers=True)
    transport = "list"

    def __init__(self):
        self.published = []
        self.depths = {}
        self.letters = []
        self.peeked = []
        self.live = []
        self.purged = []
        self.subscriptions = []
        self.subscribed = threading.Semaphore(0)
        self.writes = 0

    url = "list://user:**@host"
    place = "list:"

    def subscribe(self, queue, patterns):
        subscription = ListSubscription()
        self.subscriptions.append(subscription)
        self.subscribed.release()
        return subscription

    def publish(self, publications):
        self.writes += 1
        self.published += publications

    def purge(self, queue_name):
        self.writes += 1
        self.purged.append(queue_name)
        return 7

    def depth(self, queue_name):
        return self.depths.get(queue_name, QueueDepth(None))

    def queue_names(self):
        return sorted(self.depths)

    def peek(self, queue_name, count):
        return self.peeked[:count]

    def dead_letters(self, queue_name=None, limit=1000):
        return self.letters

    def replay(self, letter_ids):
        self.writes += 1
        return len(letter_ids)

    def drop(self, letter_ids):
        self.writes += 1
        return len(letter_ids)

    def live_workers(self):
        return self.live

    def connect(self): ...
    def declare(self, queue): ...
    def delete(self, queue_name): ...
    def consumer(self, queues, worker_name): ...
    def parked(self, queue_names, limit=1000):
        return []

    def broadcast(self, exchange, publications):
        self.writes += 1

    def listener_count(self, exchange, routing_key):
        return None

    def close(self): ...


class DictBackend(Backend):
    url = "dict://"

    def __init__(self, records):
        self.records = records

    def fetch(self, task_ids):
        return {task_id: self.records[task_id] for task_id in task_ids if task_id in self.records}

    def rides_on(self, place):
        return False

    def store(self, writes): ...
    def forget(self, task_ids): ...
    def watch(self, task_ids, reply_to): ...
    def put(self, key, value, expires_s): ...
    def get(self, key): ...
    def delete(self, keys): ...
    def close(self): ...


class TableControl:
    """Answers `ask` from `replies`: method -> {node: value}."""

    def __init__(self, replies=None):
        self.replies = replies or {}
        self.asked = []

    def ask(
        self,
        method,
        arguments=None,
        destination=None,
        *,
        timeout_s=1.0,
        limit=None,
        is_enough=None,
    ):
        self.asked.append((method, dict(arguments or {}), destination))
        return Answers(dict(self.replies.get(method, {})), elapsed_s=0.01)
