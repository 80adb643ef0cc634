"""The broadcast commands as typed methods: one flat method per command of the table.

The console and the command line speak to workers through this. Every method returns who answered
what, who did not, and in what time (`Answers`), as soon as all known workers have answered. Any
thread may call; each call blocks its own thread until then. Read-only, it refuses whatever changes
a cluster, here and not only on the screen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tqconsole.engine.control.answer import Answers
from tqconsole.engine.control.asking import IsEnough
from tqconsole.engine.control.client import Control, Destination
from tqconsole.engine.control.table import COMMANDS, CommandTable
from tqconsole.engine.exceptions import EngineError

#: Seconds to wait for nodes that may not exist; Celery's default.
DEFAULT_TIMEOUT_S = 1.0


class ReadOnlyError(EngineError):
    """Refused: this session is read-only and the command changes the cluster."""


class RemoteControl:
    """Asks and commands the workers of one cluster.

    `destination` in all methods: exact node names, short ones (`w1`), shell patterns, None for
    all. `timeout_s` bounds each call. Raises everywhere: OperationalError when the broker fails,
    ReadOnlyError where it applies.
    """

    def __init__(
        self,
        control: Control,
        *,
        is_read_only: bool = False,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        commands: CommandTable = COMMANDS,
    ) -> None:
        self._control = control
        self._timeout_s = timeout_s
        self._commands = commands
        self.is_read_only = is_read_only

    def run(
        self,
        command_name: str,
        arguments: Mapping[str, Any] | None = None,
        destination: Destination = None,
        timeout_s: float | None = None,
        is_enough: IsEnough | None = None,
    ) -> Answers:
        """Send any command by name; one that is not in the table counts as changing something."""
        command = self._commands.get(command_name)
        if self.is_read_only and (command is None or not command.is_read_only):
            raise ReadOnlyError(
                f"{command_name} changes the cluster, and this session is read-only"
            )
        wait_s = self._timeout_s if timeout_s is None else timeout_s
        return self._control.ask(
            command_name, arguments, destination, timeout_s=wait_s, is_enough=is_enough
        )

    def ping(self, destination: Destination = None, timeout_s: float | None = None) -> Answers:
        """Ask who lives: `{"ok": "pong"}`."""
        return self.run("ping", None, destination, timeout_s)

    def active(
        self,
        destination: Destination = None,
        timeout_s: float | None = None,
        *,
        is_safe: bool = False,
    ) -> Answers:
        """Ask what runs: a list of request infos; `is_safe` for reprs of the arguments."""
        arguments = {"safe": True} if is_safe else {}
        return self.run("active", arguments, destination, timeout_s)

    def reserved(self, destination: Destination = None, timeout_s: float | None = None) -> Answers:
        """Ask what waits for a slot: a list of request infos."""
        return self.run("reserved", None, destination, timeout_s)

    def scheduled(self, destination: Destination = None, timeout_s: float | None = None) -> Answers:
        """Ask what waits for its time: a list of `{"eta", "priority", "request"}`."""
        return self.run("scheduled", None, destination, timeout_s)

    def revoked(self, destination: Destination = None, timeout_s: float | None = None) -> Answers:
        """Ask for the revoked ids: a list."""
        return self.run("revoked", None, destination, timeout_s)

    def registered(
        self,
        attributes: Sequence[str] = (),
        destination: Destination = None,
        timeout_s: float | None = None,
        *,
        has_builtins: bool = False,
        is_enough: IsEnough | None = None,
    ) -> Answers:
        """Ask for the known tasks: sorted names, each with `[attribute=value ...]`.

        `is_enough` ends the waiting when it says yes to one worker's list.
        """
        arguments = {"taskinfoitems": list(attributes), "builtins": has_builtins}
        return self.run("registered", arguments, destination, timeout_s, is_enough)

    def query_task(
        self,
        task_ids: Sequence[str],
        destination: Destination = None,
        timeout_s: float | None = None,
    ) -> Answers:
        """Ask where tasks are: `{id: [state word, info]}`."""
        return self.run("query_task", {"ids": list(task_ids)}, destination, timeout_s)

    def stats(self, destination: Destination = None, timeout_s: float | None = None) -> Answers:
        """Ask for figures: one dict a node (wire.md §6.4)."""
        return self.run("stats", None, destination, timeout_s)

    def active_queues(
        self, destination: Destination = None, timeout_s: float | None = None
    ) -> Answers:
        """Ask which queues are consumed: a list of queue dicts."""
        return self.run("active_queues", None, destination, timeout_s)

    def conf(
        self,
        destination: Destination = None,
        timeout_s: float | None = None,
        *,
        has_defaults: bool = False,
    ) -> Answers:
        """Ask for settings, secrets masked: one dict a node."""
        return self.run("conf", {"with_defaults": has_defaults}, destination, timeout_s)

    def clock(self, destination: Destination = None, timeout_s: float | None = None) -> Answers:
        """Ask for the logical clock: `{"clock": n}`."""
        return self.run("clock", None, destination, timeout_s)

    def report(self, destination: Destination = None, timeout_s: float | None = None) -> Answers:
        """Ask for a bug report: `{"ok": text}`."""
        return self.run("report", None, destination, timeout_s)

    def memsample(self, destination: Destination = None, timeout_s: float | None = None) -> Answers:
        """Ask how much memory a worker uses: a text."""
        return self.run("memsample", None, destination, timeout_s)

    def memdump(
        self, samples: int = 10, destination: Destination = None, timeout_s: float | None = None
    ) -> Answers:
        """Ask for the memory readings since the last dump: a text."""
        return self.run("memdump", {"samples": samples}, destination, timeout_s)

    def objgraph(
        self,
        type_name: str = "Request",
        count: int = 200,
        max_depth: int = 10,
        destination: Destination = None,
        timeout_s: float | None = None,
    ) -> Answers:
        """Have workers draw what keeps objects alive: `{"filename": path}` there."""
        arguments = {"type": type_name, "num": count, "max_depth": max_depth}
        return self.run("objgraph", arguments, destination, timeout_s)

    def hello(
        self,
        from_node: str,
        revoked_ids: Sequence[str] = (),
        destination: Destination = None,
        timeout_s: float | None = None,
    ) -> Answers:
        """Share revoked ids as a starting worker does: `{"revoked": ids, "clock": n}`."""
        arguments = {"from_node": from_node, "revoked": list(revoked_ids)}
        return self.run("hello", arguments, destination, timeout_s)

    def revoke(
        self,
        task_ids: Sequence[str],
        destination: Destination = None,
        timeout_s: float | None = None,
    ) -> Answers:
        """Have tasks never start."""
        arguments = {"task_id": list(task_ids), "terminate": False, "signal": "SIGTERM"}
        return self.run("revoke", arguments, destination, timeout_s)

    def terminate(
        self,
        task_ids: Sequence[str],
        signal_name: str = "SIGTERM",
        destination: Destination = None,
        timeout_s: float | None = None,
    ) -> Answers:
        """Revoke tasks and kill the processes that run them."""
        arguments = {"task_id": list(task_ids), "signal": signal_name}
        return self.run("terminate", arguments, destination, timeout_s)

    def revoke_by_stamped_headers(
        self,
        headers: Mapping[str, Any],
        destination: Destination = None,
        timeout_s: float | None = None,
        *,
        is_terminating: bool = False,
        signal_name: str = "SIGTERM",
    ) -> Answers:
        """Have tasks that carry one of these stamps never start."""
        arguments = {
            "headers": dict(headers),
            "terminate": is_terminating,
            "signal": signal_name,
        }
        return self.run("revoke_by_stamped_headers", arguments, destination, timeout_s)

    def rate_limit(
        self,
        task_name: str,
        rate: str,
        destination: Destination = None,
        timeout_s: float | None = None,
    ) -> Answers:
        """Set how often a task may start on each worker ("10/m", "0" for no limit)."""
        arguments = {"task_name": task_name, "rate_limit": rate}
        return self.run("rate_limit", arguments, destination, timeout_s)

    def time_limit(
        self,
        task_name: str,
        soft_s: float | None = None,
        hard_s: float | None = None,
        destination: Destination = None,
        timeout_s: float | None = None,
    ) -> Answers:
        """Set a task's time limits."""
        arguments = {"task_name": task_name, "soft": soft_s, "hard": hard_s}
        return self.run("time_limit", arguments, destination, timeout_s)

    def add_consumer(
        self,
        queue_name: str,
        destination: Destination = None,
        timeout_s: float | None = None,
        *,
        exchange: str | None = None,
        exchange_type: str | None = None,
        routing_key: str | None = None,
    ) -> Answers:
        """Have workers consume from a queue too."""
        arguments = {
            "queue": queue_name,
            "exchange": exchange,
            "exchange_type": exchange_type,
            "routing_key": routing_key,
        }
        return self.run("add_consumer", arguments, destination, timeout_s)

    def cancel_consumer(
        self, queue_name: str, destination: Destination = None, timeout_s: float | None = None
    ) -> Answers:
        """Have workers consume from a queue no longer."""
        return self.run("cancel_consumer", {"queue": queue_name}, destination, timeout_s)

    def enable_events(
        self, destination: Destination = None, timeout_s: float | None = None
    ) -> Answers:
        """Have workers send task events."""
        return self.run("enable_events", None, destination, timeout_s)

    def disable_events(
        self, destination: Destination = None, timeout_s: float | None = None
    ) -> Answers:
        """Have workers send no task events."""
        return self.run("disable_events", None, destination, timeout_s)

    def heartbeat(self, destination: Destination = None, timeout_s: float | None = None) -> Answers:
        """Have workers send a heartbeat event now."""
        return self.run("heartbeat", None, destination, timeout_s)

    def pool_grow(
        self, count: int = 1, destination: Destination = None, timeout_s: float | None = None
    ) -> Answers:
        """Give each worker `count` slots more."""
        return self.run("pool_grow", {"n": count}, destination, timeout_s)

    def pool_shrink(
        self, count: int = 1, destination: Destination = None, timeout_s: float | None = None
    ) -> Answers:
        """Take `count` slots away from each worker."""
        return self.run("pool_shrink", {"n": count}, destination, timeout_s)

    def pool_restart(
        self,
        modules: Sequence[str] | None = None,
        destination: Destination = None,
        timeout_s: float | None = None,
        *,
        is_reloading: bool = False,
    ) -> Answers:
        """Have workers replace their pool's processes."""
        names = None if modules is None else list(modules)
        arguments = {"modules": names, "reload": is_reloading}
        return self.run("pool_restart", arguments, destination, timeout_s)

    def autoscale(
        self,
        max_count: int,
        min_count: int,
        destination: Destination = None,
        timeout_s: float | None = None,
    ) -> Answers:
        """Set the bounds between which pools scale themselves."""
        return self.run("autoscale", {"max": max_count, "min": min_count}, destination, timeout_s)

    def shutdown(self, destination: Destination = None, timeout_s: float | None = None) -> Answers:
        """Have workers finish what runs, then stop."""
        return self.run("shutdown", {}, destination, timeout_s)
