"""`tqconsole amqp`: exchanges, queues and messages by hand, over a channel of kombu's.

One command at a time from the shell, or many on one channel at the prompt of `amqp repl`, where
what was fetched can be acknowledged.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from typing import Any

import click

from tqconsole.cli import exits
from tqconsole.cli.invocation import Invocation
from tqconsole.cli.output import plural
from tqconsole.cli.values import ParamType
from tqconsole.cli.verb import VerbGroup
from tqconsole.cli.verb import verb as make_verb
from tqconsole.engine.exceptions import OperationalError

Act = Callable[[Any, dict[str, Any]], str]
_YES = {"1", "true", "yes", "on"}
_NO = {"0", "false", "no", "off"}


class _Flag(ParamType):
    """yes and no, in the words that people use."""

    name = "yes|no"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> bool:
        if isinstance(value, bool):
            return value
        word = str(value).lower()
        if word not in _YES | _NO:
            self.fail(f"{value!r} is neither yes nor no", param, ctx)
        return word in _YES


def _needed(*names: str) -> list[click.Parameter]:
    return [click.Argument([name]) for name in names]


def _flags(*names: str) -> list[click.Parameter]:
    return [click.Argument([name], required=False, type=_Flag(), default=False) for name in names]


def _declare_exchange(channel: Any, given: dict[str, Any]) -> str:
    channel.exchange_declare(**given)
    return "ok."


def _delete_exchange(channel: Any, given: dict[str, Any]) -> str:
    channel.exchange_delete(**given)
    return "ok."


def _bind(channel: Any, given: dict[str, Any]) -> str:
    channel.queue_bind(**given)
    return "ok."


def _declare_queue(channel: Any, given: dict[str, Any]) -> str:
    found = channel.queue_declare(**given)
    return f"ok. queue:{found[0]} messages:{found[1]} consumers:{found[2]}"


def _delete_queue(channel: Any, given: dict[str, Any]) -> str:
    return f"ok. {plural(int(channel.queue_delete(**given) or 0), 'message')} deleted."


def _purge_queue(channel: Any, given: dict[str, Any]) -> str:
    return f"ok. {plural(int(channel.queue_purge(**given) or 0), 'message')} deleted."


def _get(channel: Any, given: dict[str, Any]) -> str:
    raw = channel.basic_get(**given)
    if raw is None:
        return "empty queue"
    lines = {
        "delivery_tag": raw.delivery_tag,
        "properties": dict(raw.properties),
        "headers": dict(raw.headers or {}),
        "body": raw.body,
    }
    return "\n".join(f"{name}: {value!r}" for name, value in lines.items())


def _publish(channel: Any, given: dict[str, Any]) -> str:
    text = given.pop("msg")
    message = channel.prepare_message(
        text, content_type="text/plain", content_encoding="utf-8", headers={}, properties={}
    )
    given.pop("immediate")  # RabbitMQ has not known it since 3.0
    channel.basic_publish(message, **given)
    return "ok."


def _ack(channel: Any, given: dict[str, Any]) -> str:
    channel.basic_ack(given["delivery_tag"])
    return "ok."


#: Command -> (help, its arguments, what it does on a channel).
ACTS: dict[str, tuple[str, list[click.Parameter], Act]] = {
    "exchange.declare": (
        "Make an exchange.",
        [
            *_needed("exchange", "type"),
            *_flags("passive", "durable", "auto_delete"),
        ],
        _declare_exchange,
    ),
    "exchange.delete": (
        "Delete an exchange.",
        [*_needed("exchange"), *_flags("if_unused")],
        _delete_exchange,
    ),
    "queue.bind": (
        "Bind a queue to an exchange.",
        _needed("queue", "exchange", "routing_key"),
        _bind,
    ),
    "queue.declare": (
        "Make a queue.",
        [*_needed("queue"), *_flags("passive", "durable", "auto_delete")],
        _declare_queue,
    ),
    "queue.delete": (
        "Delete a queue with its messages.",
        [*_needed("queue"), *_flags("if_unused", "if_empty")],
        _delete_queue,
    ),
    "queue.purge": ("Drop what waits in a queue.", _needed("queue"), _purge_queue),
    "basic.get": ("Fetch a message.", [*_needed("queue"), *_flags("no_ack")], _get),
    "basic.publish": (
        "Send a text.",
        [*_needed("msg", "exchange", "routing_key"), *_flags("mandatory", "immediate")],
        _publish,
    ),
    "basic.ack": (
        "Acknowledge what was fetched on this channel.",
        [click.Argument(["delivery_tag"])],
        _ack,
    ),
}


def _command(name: str) -> click.Command:
    text, params, act = ACTS[name]

    def run(invocation: Invocation, **given: Any) -> int:
        invocation.require_writable()
        app = invocation.cluster()
        with app.connection_for_write() as connection:
            output, told = invocation.output, _done(connection.default_channel, act, given)
        if output.is_json:
            output.json({"reply": told})
        else:
            output.text(told)
        return exits.OK

    return make_verb(name, *params, short_help=text)(_named(run, text))


def _named(run: Callable[..., int], text: str) -> Callable[..., int]:
    run.__doc__ = text
    return run


def _done(channel: Any, act: Act, given: dict[str, Any]) -> str:
    """Do it. Raises: OperationalError with the server's words."""
    try:
        return act(channel, given)
    except (OSError, channel.connection.client.channel_errors) as error:
        raise OperationalError(f"The server refuses: {error}") from error


@make_verb("repl")
def repl(invocation: Invocation) -> int:
    """Type commands on one channel; `help` lists them, an empty line or Ctrl-D ends."""
    invocation.require_writable()
    app, output = invocation.cluster(), invocation.output
    with app.connection_for_write() as connection:
        channel = connection.default_channel
        while line := _typed():
            try:
                words = shlex.split(line)
                output.text(_told(channel, words[0], words[1:]))
            except (click.ClickException, OperationalError, ValueError) as error:
                output.error(str(error))
                if not connection.connected or getattr(channel, "is_open", True) is False:
                    channel = connection.channel()
    return exits.OK


def _typed() -> str:
    if sys.stdin.isatty():
        try:
            return input("amqp> ").strip()
        except EOFError:
            return ""
    return sys.stdin.readline().strip()


def _told(channel: Any, name: str, words: Sequence[str]) -> str:
    if name == "help":
        return "\n".join(f"{name.ljust(18)}{text}" for name, (text, _, _) in ACTS.items())
    if name not in ACTS:
        raise click.UsageError(f"{name} is no command: help lists them")
    _, params, act = ACTS[name]
    command = click.Command(name, params=params, add_help_option=False)
    with command.make_context(name, list(words)) as ctx:
        return _done(channel, act, dict(ctx.params))


verb = VerbGroup(
    "amqp",
    help="Exchanges, queues and messages by hand; `repl` keeps one channel for many commands.",
    commands=[*map(_command, ACTS), repl],
)
