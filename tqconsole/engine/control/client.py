"""The caller's end of the broadcast commands: Celery's `app.control`, and `ask`.

Celery's methods are here under Celery's names and cast by default; `reply=True` collects a list of
`{node: value}`. `ask` is the same with more to tell: who did not answer, in what time, and it
returns with the last known worker's reply. Thread-safe.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypedDict, Unpack

from tqconsole.engine.brokers.base import Broker
from tqconsole.engine.clock import SYSTEM_CLOCK, Clock
from tqconsole.engine.control.answer import Answers
from tqconsole.engine.control.asking import Asker, IsEnough, OnReply
from tqconsole.engine.control.inspection import Inspect
from tqconsole.engine.control.names import read_names
from tqconsole.engine.control.selection import Selection, select
from tqconsole.engine.exceptions import DuplicateNodenameWarning
from tqconsole.engine.protocol.mailboxes import Mailboxes
from tqconsole.engine.protocol.transfer import QueueSpec

#: Node names: exact, short (`w1`), shell patterns; one or several; None for all nodes.
Destination = Sequence[str] | str | None


class ControlApp(Protocol):
    """What remote control needs of the App."""

    @property
    def broker(self) -> Broker:
        """The broker whose workers are meant."""
        ...

    @property
    def mailboxes(self) -> Mailboxes:
        """How commands and replies travel."""
        ...

    def queues(self) -> Sequence[QueueSpec]:
        """The queues that `purge` empties."""
        ...


class ReplyOptions(TypedDict, total=False):
    """How the replies of a command are collected, as in Celery."""

    limit: int | None
    callback: Callable[[dict[str, Any]], Any] | None
    pattern: str | None
    matcher: str | None


class BroadcastOptions(ReplyOptions, total=False):
    """What every command takes besides its own arguments, as in Celery."""

    reply: bool
    timeout: float


class Control:
    """Commands to the workers of one app."""

    def __init__(self, app: ControlApp, clock: Clock = SYSTEM_CLOCK) -> None:
        self._app = app
        self._clock = clock
        self._asker: Asker | None = None
        self._asker_broker: Broker | None = None

    def ask(
        self,
        method: str,
        arguments: Mapping[str, Any] | None = None,
        destination: Destination | Selection = None,
        *,
        timeout_s: float = 1.0,
        limit: int | None = None,
        on_reply: OnReply | None = None,
        is_enough: IsEnough | None = None,
    ) -> Answers:
        """Send a command and return who answered what, and who did not.

        Returns as soon as all known workers have answered, or `is_enough` says yes to a reply's
        value: then nobody counts as missing. Raises: OperationalError.
        """
        selection = destination if isinstance(destination, Selection) else select(destination)
        answers = self._connected().ask(
            method,
            arguments or {},
            selection,
            timeout_s=timeout_s,
            limit=limit,
            on_reply=on_reply,
            is_enough=is_enough,
        )
        if answers.duplicates:
            warnings.warn(
                f"more than one node answered as {', '.join(answers.duplicates)}: "
                "give each worker a name of its own with -n",
                DuplicateNodenameWarning,
                stacklevel=2,
            )
        return answers

    def broadcast(
        self,
        command: str,
        arguments: Mapping[str, Any] | None = None,
        destination: Destination = None,
        **options: Unpack[BroadcastOptions],
    ) -> list[dict[str, Any]] | None:
        """Send a command; with `reply=True` return the replies, else None at once.

        Other keywords are arguments of the command, as in Celery.
        """
        given = {**(arguments or {}), **_further_arguments(options)}
        selection = select(destination, options.get("pattern"), options.get("matcher"))
        if not options.get("reply"):
            self._connected().cast(command, given, selection)
            return None
        callback = options.get("callback")
        answers = self.ask(
            command,
            given,
            selection,
            timeout_s=options.get("timeout", 1.0),
            limit=options.get("limit"),
            on_reply=None if callback is None else lambda node, value: callback({node: value}),
        )
        return [{node: value} for node, value in answers.replies.items()]

    def inspect(
        self,
        destination: Destination = None,
        timeout: float = 1.0,
        callback: Callable[[dict[str, Any]], Any] | None = None,
        limit: int | None = None,
        pattern: str | None = None,
        matcher: str | None = None,
    ) -> Inspect:
        """Return an object whose methods ask the workers."""
        options: dict[str, Any] = {
            "timeout": timeout,
            "callback": callback,
            "limit": limit,
            "pattern": pattern,
            "matcher": matcher,
        }
        return Inspect(self._inspect, destination, options)

    def purge(self) -> int:
        """Drop all waiting messages of the app's queues; return how many there were."""
        return sum(self._app.broker.purge(queue.name) for queue in self._app.queues())

    discard_all = purge

    def revoke(
        self,
        task_id: str | Sequence[str],
        destination: Destination = None,
        *,
        terminate: bool = False,
        signal: str = "SIGTERM",
        **options: Unpack[BroadcastOptions],
    ) -> list[dict[str, Any]] | None:
        """Have tasks never start; `terminate` also kills the processes that run them."""
        ids = task_id if isinstance(task_id, str) else read_names("task_id", task_id)
        arguments = {"task_id": ids, "terminate": terminate, "signal": signal}
        return self.broadcast("revoke", arguments, destination, **options)

    def revoke_by_stamped_headers(
        self,
        headers: Mapping[str, Any],
        destination: Destination = None,
        *,
        terminate: bool = False,
        signal: str = "SIGTERM",
        **options: Unpack[BroadcastOptions],
    ) -> list[dict[str, Any]] | None:
        """Have tasks that carry one of these stamps never start."""
        arguments = {"headers": dict(headers), "terminate": terminate, "signal": signal}
        return self.broadcast("revoke_by_stamped_headers", arguments, destination, **options)

    def terminate(
        self,
        task_id: str | Sequence[str],
        destination: Destination = None,
        signal: str = "SIGTERM",
        **options: Unpack[BroadcastOptions],
    ) -> list[dict[str, Any]] | None:
        """Revoke tasks and kill the processes that run them."""
        return self.revoke(task_id, destination, terminate=True, signal=signal, **options)

    def ping(
        self,
        destination: Destination = None,
        timeout: float = 1.0,
        **options: Unpack[ReplyOptions],
    ) -> list[dict[str, Any]]:
        """Return `[{node: {"ok": "pong"}}, ...]` of those that answer."""
        replies = self.broadcast("ping", {}, destination, reply=True, timeout=timeout, **options)
        return replies or []

    def rate_limit(
        self,
        task_name: str,
        rate_limit: str | float,
        destination: Destination = None,
        **options: Unpack[BroadcastOptions],
    ) -> list[dict[str, Any]] | None:
        """Set how often a task may start on each worker ("10/m"; 0 for no limit)."""
        arguments = {"task_name": task_name, "rate_limit": rate_limit}
        return self.broadcast("rate_limit", arguments, destination, **options)

    def time_limit(
        self,
        task_name: str,
        soft: float | None = None,
        hard: float | None = None,
        destination: Destination = None,
        **options: Unpack[BroadcastOptions],
    ) -> list[dict[str, Any]] | None:
        """Set a task's time limits, in seconds."""
        arguments = {"task_name": task_name, "hard": hard, "soft": soft}
        return self.broadcast("time_limit", arguments, destination, **options)

    def add_consumer(
        self,
        queue: str,
        exchange: str | None = None,
        exchange_type: str = "direct",
        routing_key: str | None = None,
        options: Mapping[str, Any] | None = None,
        destination: Destination = None,
        **broadcast_options: Unpack[BroadcastOptions],
    ) -> list[dict[str, Any]] | None:
        """Have workers consume from a queue too; `options` are kombu's of a queue."""
        arguments = {
            "queue": queue,
            "exchange": exchange,
            "exchange_type": exchange_type,
            "routing_key": routing_key,
            **(options or {}),
        }
        return self.broadcast("add_consumer", arguments, destination, **broadcast_options)

    def cancel_consumer(
        self,
        queue: str,
        destination: Destination = None,
        **options: Unpack[BroadcastOptions],
    ) -> list[dict[str, Any]] | None:
        """Have workers consume from a queue no longer."""
        return self.broadcast("cancel_consumer", {"queue": queue}, destination, **options)

    def enable_events(
        self, destination: Destination = None, **options: Unpack[BroadcastOptions]
    ) -> list[dict[str, Any]] | None:
        """Have workers send task events."""
        return self.broadcast("enable_events", {}, destination, **options)

    def disable_events(
        self, destination: Destination = None, **options: Unpack[BroadcastOptions]
    ) -> list[dict[str, Any]] | None:
        """Have workers send no task events."""
        return self.broadcast("disable_events", {}, destination, **options)

    def pool_grow(
        self, n: int = 1, destination: Destination = None, **options: Unpack[BroadcastOptions]
    ) -> list[dict[str, Any]] | None:
        """Give each worker n slots more."""
        return self.broadcast("pool_grow", {"n": n}, destination, **options)

    def pool_shrink(
        self, n: int = 1, destination: Destination = None, **options: Unpack[BroadcastOptions]
    ) -> list[dict[str, Any]] | None:
        """Take n slots away from each worker."""
        return self.broadcast("pool_shrink", {"n": n}, destination, **options)

    def pool_restart(
        self,
        modules: Sequence[str] | None = None,
        reload: bool = False,  # noqa: FBT001, FBT002 - Celery's signature
        destination: Destination = None,
        **options: Unpack[BroadcastOptions],
    ) -> list[dict[str, Any]] | None:
        """Have workers replace their pool's processes."""
        arguments = {"modules": modules, "reload": reload}
        return self.broadcast("pool_restart", arguments, destination, **options)

    def autoscale(
        self,
        max: int,  # noqa: A002 - Celery's name
        min: int,  # noqa: A002 - Celery's name
        destination: Destination = None,
        **options: Unpack[BroadcastOptions],
    ) -> list[dict[str, Any]] | None:
        """Set the bounds between which pools scale themselves."""
        return self.broadcast("autoscale", {"max": max, "min": min}, destination, **options)

    def heartbeat(
        self, destination: Destination = None, **options: Unpack[BroadcastOptions]
    ) -> list[dict[str, Any]] | None:
        """Have workers send a heartbeat event now."""
        return self.broadcast("heartbeat", {}, destination, **options)

    def shutdown(
        self, destination: Destination = None, **options: Unpack[BroadcastOptions]
    ) -> list[dict[str, Any]] | None:
        """Have workers finish what runs, then stop."""
        return self.broadcast("shutdown", {}, destination, **options)

    def _inspect(
        self,
        command: str,
        arguments: Mapping[str, Any],
        destination: Destination,
        options: Mapping[str, Any],
    ) -> list[dict[str, Any]]:
        return self.broadcast(command, arguments, destination, reply=True, **options) or []

    def _connected(self) -> Asker:
        """Return the asker of the app's present broker (an app may be given another one)."""
        broker = self._app.broker
        if self._asker is None or self._asker_broker is not broker:
            self._asker = Asker(broker, self._clock, self._app.mailboxes)
            self._asker_broker = broker
        return self._asker


def _further_arguments(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keywords that are no options; a connection of the caller's is not needed here."""
    known = {*BroadcastOptions.__required_keys__, *BroadcastOptions.__optional_keys__} | {
        "connection",
        "channel",
    }
    return {name: value for name, value in options.items() if name not in known}
