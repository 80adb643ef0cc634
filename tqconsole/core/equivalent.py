"""The command line that does what an action does: people learn it here and paste it elsewhere.

Everything goes through `shlex.quote`: names of tasks, queues and workers are strangers' texts.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import Any

from tqconsole.core.actions import ActionRequest

#: Ids printed at most; more would fill the screen.
TARGET_LIMIT = 20


def equivalent_command(request: ActionRequest) -> str:
    """Return the shell command for a request, "" when the command line has none."""
    make = _COMMANDS.get(request.action_id)
    return shell_text(["tqconsole", *make(request)]) if make is not None else ""


def shell_text(words: list[str]) -> str:
    """Return words as one line for a shell, each quoted where it must be."""
    return " ".join(shlex.quote(word) for word in words)


def call_command(name: str, args_json: str, kwargs_json: str, queue: str) -> str:
    """Return the command that sends a call."""
    words = ["tqconsole", "call", name, "-a", args_json or "[]", "-k", kwargs_json or "{}"]
    return shell_text([*words, "--queue", queue] if queue else words)


def _given(request: ActionRequest, name: str) -> str:
    value: Any = request.arguments.get(name, "")
    return "" if value is None else str(value).strip()


def _ids(request: ActionRequest) -> list[str]:
    rest = len(request.targets) - TARGET_LIMIT
    return [*request.targets[:TARGET_LIMIT], *([f"# and {rest} more"] if rest > 0 else [])]


def _call(request: ActionRequest) -> list[str]:
    words = ["call", _given(request, "task_name")]
    words += ["-a", _given(request, "args") or "[]", "-k", _given(request, "kwargs") or "{}"]
    for name in ("queue", "priority", "countdown", "eta", "expires", "task_id"):
        value = _given(request, name)
        if value:
            words += [f"--{name.replace('_', '-')}", value]
    if is_true(request.arguments.get("ignore_result")):
        words.append("--ignore-result")
    return words


def is_true(value: object) -> bool:
    """Return what a bool field says, also typed as text."""
    return value is True or (isinstance(value, str) and value.lower() in ("true", "yes", "1", "on"))


def _control(*names: str) -> Callable[[ActionRequest], list[str]]:
    """A control command whose words are the arguments of these names, in order."""

    def command(request: ActionRequest) -> list[str]:
        values = [_given(request, name) for name in names[1:]]
        while values and not values[-1]:
            values.pop()
        words = ["control", names[0], *(value or "0" for value in values)]
        return [*words, *_destination(request)]

    return command


def _destination(request: ActionRequest) -> list[str]:
    names = _given(request, "workers") or ",".join(request.targets)
    return ["--destination", names] if names else []


def _type_control(command: str, *names: str) -> Callable[[ActionRequest], list[str]]:
    def words(request: ActionRequest) -> list[str]:
        values = [_given(request, name) for name in names]
        while values and not values[-1]:
            values.pop()
        return ["control", command, *request.targets[:1], *(value or "0" for value in values)]

    return words


def _queue_control(command: str) -> Callable[[ActionRequest], list[str]]:
    def words(request: ActionRequest) -> list[str]:
        names = _given(request, "workers")
        destination = ["--destination", names] if names else []
        return ["control", command, *request.targets[:1], *destination]

    return words


_COMMANDS: dict[str, Callable[[ActionRequest], list[str]]] = {
    "task.call": _call,
    "task.revoke": lambda request: ["control", "revoke", *_ids(request)],
    "task.terminate": lambda request: [
        "control",
        "terminate",
        _given(request, "signal") or "SIGTERM",
        *_ids(request),
    ],
    "worker.ping": lambda request: ["inspect", "ping", *_destination(request)],
    "worker.inspect": lambda request: [
        "inspect",
        _given(request, "what") or "stats",
        *_destination(request),
    ],
    "worker.shutdown": _control("shutdown"),
    "worker.pool_grow": _control("pool_grow", "count"),
    "worker.pool_shrink": _control("pool_shrink", "count"),
    "worker.autoscale": _control("autoscale", "max", "min"),
    "worker.pool_restart": _control("pool_restart"),
    "worker.add_consumer": _control("add_consumer", "queue"),
    "worker.cancel_consumer": _control("cancel_consumer", "queue"),
    "worker.rate_limit": _control("rate_limit", "task_name", "rate_limit"),
    "worker.time_limit": _control("time_limit", "task_name", "soft", "hard"),
    "events.enable": _control("enable_events"),
    "events.disable": _control("disable_events"),
    "type.rate_limit": _type_control("rate_limit", "rate_limit"),
    "type.time_limit": _type_control("time_limit", "soft", "hard"),
    "queue.purge": lambda request: ["purge", "--force", "--queues", ",".join(request.targets)],
    "queue.add_consumer": _queue_control("add_consumer"),
    "queue.cancel_consumer": _queue_control("cancel_consumer"),
    "dead.replay": lambda request: ["dead", "replay", *_ids(request)],
    "dead.drop": lambda request: ["dead", "drop", *_ids(request)],
}
