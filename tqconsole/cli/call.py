"""`tqconsole call NAME`: send a call. What cannot run is refused before anything is sent."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from tqconsole.cli import exits
from tqconsole.cli.invocation import Invocation
from tqconsole.cli.outcome import print_outcome, require_readable_store
from tqconsole.cli.values import (
    INSTANT,
    INSTANT_OR_SECONDS,
    JSON_ARRAY,
    JSON_OBJECT,
    NAME,
    SECONDS,
)
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
    "task_id",
)


@make_verb(
    "call",
    click.Argument(["name"], type=NAME),
    click.Option(
        ["-a", "--args"], type=JSON_ARRAY, default="[]", help="Positional arguments (JSON array)."
    ),
    click.Option(
        ["-k", "--kwargs"], type=JSON_OBJECT, default="{}", help="Keyword arguments (JSON object)."
    ),
    click.Option(["--eta"], type=INSTANT, help="Run not before this time (ISO 8601)."),
    click.Option(["--countdown"], type=SECONDS, help="Run not before so many seconds from now."),
    click.Option(
        ["--expires"], type=INSTANT_OR_SECONDS, help="Never start later than this (time, seconds)."
    ),
    click.Option(["--serializer"], help="Serializer of the arguments; the app's by default."),
    click.Option(["--queue"], type=NAME, help="Queue to send to."),
    click.Option(["--exchange"], help="Exchange to send to."),
    click.Option(["--routing-key"], help="Routing key."),
    click.Option(["--priority"], type=click.IntRange(0, 255), help="Priority of the message."),
    click.Option(["--task-id"], type=NAME, help="Id of the call; a new one by default."),
    click.Option(["--ignore-result"], is_flag=True, help="Do not store the result."),
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
    invocation.require_writable()
    app = invocation.app_of(name.partition(".")[0])
    invocation.cluster(needs_queue=False)
    invocation.import_modules()
    if options["wait"] and options["ignore_result"]:
        raise click.UsageError("--wait waits for the result that --ignore-result gives up.")
    if options["wait"]:
        require_readable_store(app.backend, is_caller=True)
    given = {key: options[key] for key in _SENT if options[key] is not None}
    if options["ignore_result"]:
        given["ignore_result"] = True
    _check_times(given)
    task = app.tasks.get(name)
    if task is not None:
        _check_arguments(task, options["args"], options["kwargs"])
        given = {**task.sent_options(), **given, "task_type": task}
    note = "" if options["force"] else _checked_name(invocation, app, name)
    result = app.send_task(name, options["args"], options["kwargs"], **given)
    if note:
        invocation.output.note(note)
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


def _checked_name(invocation: Invocation, app: App, name: str) -> str:
    """Return what is to be said beside the id, "" for nothing.

    The first worker that knows the name is enough, where the broker does not say how many will
    answer. Raises: UsageError for a name that none of the answering workers knows.
    """
    if not app.broker.capabilities.can_fanout:
        return f"{app.broker.transport}:// cannot ask workers: whether one knows {name} is unknown"
    answers = RemoteControl(app.control).registered(
        has_builtins=True, is_enough=lambda items: name in _names_in(items)
    )
    lists = [value for value in answers.replies.values() if isinstance(value, list)]
    if not lists:
        note = f"no worker is online{invocation.whereabouts()}: the call waits in the queue"
        if not invocation.has_app or name in app.tasks:
            return note
        return f"{note}; {app.main or 'the app'} has no task {name}. {_hint(name, app.tasks)}"
    known = set().union(*map(_names_in, lists))
    if name in known:
        return ""
    who = "The worker" if len(lists) == 1 else f"None of {len(lists)} workers"
    knows = "online does not know" if len(lists) == 1 else "online knows"
    raise click.UsageError(
        f"{who} {knows} {name}. {_hint(name, known)} "
        "Nothing was sent; --force sends it all the same."
    )


def _names_in(items: Any) -> set[str]:
    """Return the names in a worker's list, which tells "name [attribute=value ...]"."""
    if not isinstance(items, list):
        return set()
    return {str(item).partition(" [")[0] for item in items}


def _hint(name: str, known: Iterable[str]) -> str:
    names = sorted(one for one in known if not one.startswith("celery."))
    nearest = difflib.get_close_matches(name, names, n=1)
    return f"Did you mean {nearest[0]}?" if nearest else f"Known: {', '.join(names[:5])}."
