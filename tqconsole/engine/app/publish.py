"""Getting messages into the broker: one trip, tried again as the publish policy says.

What the policy says is looked up only when a publish failed; a queue that its name alone does not
describe is declared once for each broker.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

from tqconsole.engine.app.queues import Address, is_plain
from tqconsole.engine.brokers.base import Broker
from tqconsole.engine.clock import Clock
from tqconsole.engine.exceptions import OperationalError
from tqconsole.engine.protocol.transfer import ChordEnd, Publication

#: Seconds after which nothing is tried again, where neither the call nor the settings say how
#: often: a server that is silent takes as long for one try, and no call is to hang.
_PUBLISH_S = 10.0


class PublishingApp(Protocol):
    """What publishing needs of the App."""

    @property
    def write_broker(self) -> Broker:
        """Where messages go."""
        ...

    conf: Any
    wall_clock: Clock


class Publisher:
    """Publishes for one app. Thread-safe.

    `policy` are the options of a call: `retry` (False: one attempt), `retry_policy` (max_retries,
    interval_start, interval_step, interval_max, retry_errors), `timeout` in seconds for all
    attempts together.
    """

    def __init__(self, app: PublishingApp) -> None:
        self._app = app
        self._declared: set[tuple[str, str]] = set()

    def publish(self, publications: Sequence[Publication], policy: dict[str, Any]) -> None:
        """Publish messages in one trip. Raises: OperationalError; nothing was sent then."""
        broker = self._app.write_broker
        self.persist(partial(broker.publish, publications), policy)

    def publish_end(self, publications: Sequence[Publication], end: ChordEnd) -> None:
        """Publish what a chord ends in and close it. Raises: as `Broker.publish_end`."""
        broker = self._app.write_broker
        self.persist(lambda: broker.publish_end(publications, end), {})

    def declare(self, address: Address, policy: dict[str, Any]) -> None:
        """Make the queue where its name alone does not say how. Raises: OperationalError."""
        queue = address.queue
        if queue is None or not has_to_be_declared(address):
            return
        broker = self._app.write_broker
        key = (broker.place, queue.name)
        if key not in self._declared:
            self.persist(lambda: broker.declare(queue), policy)
            self._declared.add(key)

    def persist(self, attempt: Callable[[], None], policy: dict[str, Any]) -> None:
        """Try something with the broker as often as the policy says. Raises: OperationalError."""
        clock = self._app.wall_clock
        begun_mono = clock.mono()
        failed_count = 0
        while True:
            try:
                return attempt()
            except _passing(policy):
                pause_s = self._pause_s(policy, failed_count)
                if pause_s is None:
                    raise
                timeout_s = policy.get("timeout", self._longest_s(policy))
                if timeout_s is not None and clock.mono() + pause_s > begun_mono + timeout_s:
                    raise
                failed_count += 1
            clock.sleep(pause_s)

    def _longest_s(self, policy: dict[str, Any]) -> float | None:
        is_endless = self._app.conf.task_publish_retry_policy.get("max_retries", 3) is None
        return None if policy.get("retry_policy") or is_endless else _PUBLISH_S

    def _pause_s(self, policy: dict[str, Any], failed_count: int) -> float | None:
        """Return how long to wait after `failed_count` + 1 failures; None: that was the last."""
        conf, retry = self._app.conf, policy.get("retry")
        if not (conf.task_publish_retry if retry is None else retry):
            return None
        given = {**conf.task_publish_retry_policy, **(policy.get("retry_policy") or {})}
        allowed_count = given.get("max_retries", 3)
        if allowed_count is not None and failed_count >= allowed_count:
            return None
        start_s = given.get("interval_start") or 0
        grown_s = start_s + failed_count * (given.get("interval_step") or 0)
        longest_s = given.get("interval_max")
        return float(grown_s if longest_s is None else min(grown_s, longest_s))


def has_to_be_declared(address: Address) -> bool:
    """Return True when the name of a call's queue alone does not say what it is."""
    queue = address.queue
    return queue is not None and not (address.exchange == "" and is_plain(queue))


def _passing(policy: dict[str, Any]) -> tuple[type[BaseException], ...]:
    """Return the errors after which it is tried again."""
    given = policy.get("retry_policy") or {}
    return (OperationalError, *(given.get("retry_errors") or ()))
