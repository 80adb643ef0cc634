"""Celery's `app.control.inspect()`: one method a question, `{node: value}` or None for nobody."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tqconsole.engine.control.names import read_names

#: How it asks: (command, arguments, destination, options) -> replies.
Ask = Callable[
    [str, Mapping[str, Any], "Sequence[str] | str | None", Mapping[str, Any]],
    list[dict[str, Any]],
]


class Inspect:
    """Questions to the nodes of `destination`; a single name given as str returns its value."""

    def __init__(
        self, ask: Ask, destination: Sequence[str] | str | None, options: Mapping[str, Any]
    ) -> None:
        self._ask = ask
        self.destination = destination
        self._options = dict(options)

    def request(self, command: str, **arguments: Any) -> Any:
        """Ask any command, also one of the user's."""
        replies = self._ask(command, arguments, self.destination, self._options)
        by_node = {node: value for reply in replies for node, value in reply.items()}
        if not by_node:
            return None
        if isinstance(self.destination, str) and len(by_node) == 1:
            return next(iter(by_node.values()))
        return by_node

    def active(self, safe: bool | None = None) -> Any:  # noqa: FBT001 - Celery's signature
        """Return the tasks that run."""
        return self.request("active", safe=safe)

    def scheduled(self) -> Any:
        """Return the tasks that wait for their time."""
        return self.request("scheduled")

    def reserved(self) -> Any:
        """Return the tasks that wait for a slot."""
        return self.request("reserved")

    def revoked(self) -> Any:
        """Return the revoked ids."""
        return self.request("revoked")

    def registered(self, *taskinfoitems: str) -> Any:
        """Return the names of known tasks, with the attributes asked for."""
        return self.request("registered", taskinfoitems=list(taskinfoitems))

    registered_tasks = registered

    def query_task(self, *ids: str | Sequence[str]) -> Any:
        """Return where these ids are, on each node that has one."""
        given = ids[0] if len(ids) == 1 and not isinstance(ids[0], str) else ids
        return self.request("query_task", ids=read_names("ids", given))

    def stats(self) -> Any:
        """Return each node's figures."""
        return self.request("stats")

    def ping(self, destination: Sequence[str] | str | None = None) -> Any:
        """Return `{"ok": "pong"}` of each node."""
        if destination:
            self.destination = destination
        return self.request("ping")

    def active_queues(self) -> Any:
        """Return the queues each node consumes from."""
        return self.request("active_queues")

    def conf(
        self,
        with_defaults: bool = False,  # noqa: FBT001, FBT002 - Celery's signature
    ) -> Any:
        """Return each node's settings, secrets masked."""
        return self.request("conf", with_defaults=with_defaults)

    def hello(self, from_node: str, revoked: Sequence[str] | None = None) -> Any:
        """Share revoked ids with the nodes, as a starting worker does."""
        return self.request("hello", from_node=from_node, revoked=revoked)

    def clock(self) -> Any:
        """Return each node's logical clock."""
        return self.request("clock")

    def report(self) -> Any:
        """Return each node's bug report."""
        return self.request("report")

    def memsample(self) -> Any:
        """Return how much memory each node uses."""
        return self.request("memsample")

    def memdump(self, samples: int = 10) -> Any:
        """Return each node's memory readings."""
        return self.request("memdump", samples=samples)

    def objgraph(
        self,
        type: str = "Request",  # noqa: A002 - Celery's name
        n: int = 200,
        max_depth: int = 10,
    ) -> Any:
        """Have each node draw what keeps objects of a type alive."""
        return self.request("objgraph", type=type, num=n, max_depth=max_depth)
