"""The command line that does what an action does: people learn it here and paste it elsewhere.

Everything goes through `shlex.quote`: names of tasks, queues and workers are strangers' texts.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable
from typing import Any

from tqconsole.core.actions import ActionRequest

#: Ids that one command line can bear.
TARGET_LIMIT = 1000

Words = list[str]


def equivalent_command(request: ActionRequest) -> str:
    """Return the shell command for a request, "" when the command line has none."""
    make = _COMMANDS.get(request.action_id)
    words = make(request) if make is not None else []
    return shell_text(["tqconsole", *words]) if words else ""


def reaching(command: str, options: Iterable[str]) -> str:
    """Return a command with the global options by which this console found its cluster."""
    words = list(options)
    if not (command and words):
        return command
    program, _, rest = command.partition(" ")
    return f"{program} {shell_text(words)} {rest}"


def shell_text(words: Words) -> str:
    """Return words as one line for a shell, each quoted where it must be."""
    return " ".join(shlex.quote(word) for word in words)


def call_command(name: str, args_json: str, kwargs_json: str, queue: str) -> str:
    """Return the command that sends a call."""
    options = ["-a", args_json or "[]", "-k", kwargs_json or "{}"]
    options += ["--queue", queue] if queue else []
    return shell_text(["tqconsole", *_line(["call"], [name], options)])


def is_true(value: object) -> bool:
    """Return what a bool field says, also typed as text."""
    return value is True or (isinstance(value, str) and value.lower() in ("true", "yes", "1", "on"))


def _line(verb: Words, words: Words, options: Words) -> Words:
    """Return verb, words and options; a word that looks like an option stands behind `--`."""
    if any(word.startswith("-") for word in words):
        return [*verb, *options, "--", *words]
    return [*verb, *words, *options]


def _given(request: ActionRequest, name: str) -> str:
    value: Any = request.arguments.get(name, "")
    return "" if value is None else str(value).strip()


def _call(request: ActionRequest) -> Words:
    options = ["-a", _given(request, "args") or "[]", "-k", _given(request, "kwargs") or "{}"]
    for name in ("queue", "priority", "countdown", "eta", "expires", "task_id"):
        value = _given(request, name)
        if value:
            options += [f"--{name.replace('_', '-')}", value]
    if is_true(request.arguments.get("ignore_result")):
        options.append("--ignore-result")
    return _line(["call"], [_given(request, "task_name")], options)


def _values(request: ActionRequest, names: Iterable[str]) -> Words:
    """The arguments of these names, in order; those left out at the end need no word."""
    values = [_given(request, name) for name in names]
    while values and not values[-1]:
        values.pop()
    return [value or "0" for value in values]


def _ask(kind: str, command: str, *names: str) -> Callable[[ActionRequest], Words]:
    """A command to the targets as workers; its words are the arguments of these names."""

    def words(request: ActionRequest) -> Words:
        destination = _destination(",".join(request.targets))
        return _line([kind], [command, *_values(request, names)], destination)

    return words


def _destination(names: str) -> Words:
    return ["--destination", names] if names else []


def _restart(request: ActionRequest) -> Words:
    """Modules to reload cannot be said on the command line."""
    is_reloading = is_true(request.arguments.get("reload"))
    return [] if is_reloading else _ask("control", "pool_restart")(request)


def _inspect(request: ActionRequest) -> Words:
    return _ask("inspect", _given(request, "what") or "stats")(request)


def _to_target(command: str, *names: str) -> Callable[[ActionRequest], Words]:
    """A command about the first target, a task type or a queue, to some workers or to all."""

    def words(request: ActionRequest) -> Words:
        values = [command, *request.targets[:1], *_values(request, names)]
        return _line(["control"], values, _destination(_given(request, "workers")))

    return words


def _on_targets(*verb: str) -> Callable[[ActionRequest], Words]:
    """A command whose words are the targets' ids; more than one line can bear have none."""

    def words(request: ActionRequest) -> Words:
        signal = [_given(request, "signal") or "SIGTERM"] if "terminate" in verb else []
        if len(request.targets) > TARGET_LIMIT:
            return []
        return _line(list(verb), [*signal, *request.targets], [])

    return words


def _stamped(request: ActionRequest) -> Words:
    signal = _given(request, "signal")
    options = ["--terminate", signal] if signal not in ("", "no") else []
    stamps = _given(request, "stamps").split()
    return _line(["control"], ["revoke_by_stamped_headers", *stamps], options)


def _edit_letter(request: ActionRequest) -> Words:
    options: Words = []
    for flag, name in (("-a", "args"), ("-k", "kwargs")):
        value = _given(request, name)
        options += [flag, value] if value else []
    return _line(["dead", "replay"], list(request.targets[:1]), options)


_COMMANDS: dict[str, Callable[[ActionRequest], Words]] = {
    "task.call": _call,
    "beat.run": _call,
    "task.revoke": _on_targets("control", "revoke"),
    "task.terminate": _on_targets("control", "terminate"),
    "task.abort": lambda request: _line(["result"], list(request.targets[:1]), ["--abort"]),
    "task.revoke_by_stamped_headers": _stamped,
    "worker.ping": _ask("inspect", "ping"),
    "worker.inspect": _inspect,
    "worker.shutdown": _ask("control", "shutdown"),
    "worker.pool_grow": _ask("control", "pool_grow", "count"),
    "worker.pool_shrink": _ask("control", "pool_shrink", "count"),
    "worker.autoscale": _ask("control", "autoscale", "max", "min"),
    "worker.pool_restart": _restart,
    "worker.add_consumer": _ask("control", "add_consumer", "queue"),
    "worker.cancel_consumer": _ask("control", "cancel_consumer", "queue"),
    "worker.rate_limit": _ask("control", "rate_limit", "task_name", "rate_limit"),
    "worker.time_limit": _ask("control", "time_limit", "task_name", "soft", "hard"),
    "events.enable": _ask("control", "enable_events"),
    "events.disable": _ask("control", "disable_events"),
    "type.rate_limit": _to_target("rate_limit", "rate_limit"),
    "type.time_limit": _to_target("time_limit", "soft", "hard"),
    "queue.purge": lambda request: ["purge", "--force", "--queues", ",".join(request.targets)],
    "queue.add_consumer": _to_target("add_consumer"),
    "queue.cancel_consumer": _to_target("cancel_consumer"),
    "dead.replay": _on_targets("dead", "replay"),
    "dead.edit": _edit_letter,
    "dead.drop": _on_targets("dead", "drop"),
}
