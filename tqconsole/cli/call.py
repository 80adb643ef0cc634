"""`tqconsole call NAME`: send a call. What cannot run is refused before anything is sent."""

from __future__ import annotations

import difflib
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from tqconsole.cli import exits
from tqconsole.cli.invocation import Invocation
from tqconsole.cli.outcome import print_outcome, require_readable_store
from tqconsole.cli.values import INSTANT, INSTANT_OR_SECONDS, JSON_ARRAY, JSON_OBJECT
from tqconsole.cli.verb import verb as make_verb
from tqconsole.remote_control import RemoteControl

if TYPE_CHECKING:
    from tqconsole.engine.app import App

#: Options of `call` that go to `apply_async` under their own names.
_SENT = (
    "eta",
    "countdown",
    "expires",
    "serializer",
    "queue",
    "exchange",
    "routing_key",
    "priority",
)


@make_verb(
    "call",
    click.Argument(["name"]),
    click.Option(
        ["-a", "--args"], type=JSON_ARRAY, default="[]", help="Positional arguments (JSON array)."
    ),
    click.Option(
        ["-k", "--kwargs"], type=JSON_OBJECT, default="{}", help="Keyword arguments (JSON object)."
    ),
    click.Option(["--eta"], type=INSTANT, help="Run not before this time (ISO 8601)."),
    click.Option(["--countdown"], type=float, help="Run not before so many seconds from now."),
    click.Option(
        ["--expires"], type=INSTANT_OR_SECONDS, help="Never start later than this (time, seconds)."
    ),
    click.Option(["--serializer"], help="Serializer of the arguments; the app's by default."),
    click.Option(["--queue"], help="Queue to send to."),
    click.Option(["--exchange"], help="Exchange to send to."),
    click.Option(["--routing-key"], help="Routing key."),
    click.Option(["--priority"], type=click.IntRange(0, 255), help="Priority of the message."),
    click.Option(["--force"], is_flag=True, help="Send also what no worker knows."),
    click.Option(["--wait"], is_flag=True, help="Wait for the result and print it too."),
    click.Option(
        ["--timeout"], type=click.FloatRange(min=0), help="With --wait: so many seconds at most."
    ),
)
def verb(invocation: Invocation, name: str, **options: Any) -> int:
    """Call a task by its name and print the id of the call.

    Arguments are checked against the task's signature where the app is at hand, the name against
    the tasks of the workers that are online.
    """
    app = invocation.app_of(name.partition(".")[0])
    invocation.cluster()
    if invocation.has_app:
        app.import_modules()
    if options["wait"]:
        require_readable_store(app.backend)
    given = {key: options[key] for key in _SENT if options[key] is not None}
    _check_times(given)
    task = app.tasks.get(name)
    if task is not None:
        _check_arguments(task, options["args"], options["kwargs"])
        given = {**task.sent_options(), **given, "task_type": task}
    if not options["force"]:
        _check_name(invocation, app, name)
    result = app.send_task(name, options["args"], options["kwargs"], **given)
    return _told(invocation, result, options)


def _told(invocation: Invocation, result: Any, options: dict[str, Any]) -> int:
    output = invocation.output
    if not options["wait"]:
        if output.is_json:
            output.json({"id": result.id})
        else:
            output.line(result.id)
        return exits.OK
    if not output.is_json:
        output.line(result.id)
    return print_outcome(invocation, result, options["timeout"])


def _check_times(given: dict[str, Any]) -> None:
    if "eta" in given and "countdown" in given:
        raise click.UsageError("--eta and --countdown say the same: give one of them.")
    expires, eta = given.get("expires"), given.get("eta")
    if isinstance(expires, datetime) and isinstance(eta, datetime) and expires <= eta:
        raise click.UsageError("--expires is not after --eta: the call could never start.")


def _check_arguments(task: Any, args: list[Any], kwargs: dict[str, Any]) -> None:
    if not task.typing:
        return
    try:
        task.check_arguments(args, kwargs)
    except TypeError as error:
        raise click.UsageError(f"{error}. Nothing was sent.") from error


def _check_name(invocation: Invocation, app: App, name: str) -> None:
    """Refuse a name that none of the answering workers knows. Raises: UsageError."""
    answers = RemoteControl(app.control).registered(has_builtins=True)
    lists = [value for value in answers.replies.values() if isinstance(value, list)]
    if not lists:
        where = invocation.whereabouts()
        invocation.output.note(f"no worker is online{where}: the call waits in the queue")
        return
    # A worker tells "name [attribute=value ...]".
    known = {str(item).partition(" [")[0] for items in lists for item in items}
    if name in known:
        return
    nearest = difflib.get_close_matches(name, known, n=1)
    hint = f"Did you mean {nearest[0]}?" if nearest else f"They know {', '.join(sorted(known)[:5])}"
    raise click.UsageError(
        f"None of {len(lists)} workers online knows {name}. {hint} "
        "Nothing was sent; --force sends it all the same."
    )
