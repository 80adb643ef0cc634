"""`tqconsole dead`: messages that could not be run, and what to do with them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import click

from tqconsole.cli import exits
from tqconsole.cli.invocation import Invocation
from tqconsole.cli.output import REPLY_CHARS, plural
from tqconsole.cli.values import JSON_ARRAY, JSON_OBJECT
from tqconsole.cli.verb import VerbGroup
from tqconsole.cli.verb import verb as make_verb
from tqconsole.core.sanitize import clean, clean_name
from tqconsole.engine.brokers.base import Broker
from tqconsole.engine.dead_letters import edited, find_letters, read_letter
from tqconsole.engine.exceptions import RefusedError
from tqconsole.engine.protocol.transfer import DeadLetter

_QUEUE = ["-Q", "--queue"]


@make_verb(
    "list",
    click.Option(_QUEUE, help="Of this queue only."),
    click.Option(
        ["--limit"], type=click.IntRange(min=1), default=100, show_default=True, help="At most."
    ),
)
def list_letters(invocation: Invocation, queue: str | None, limit: int) -> int:
    """List dead letters, newest first."""
    broker = invocation.cluster().broker
    letters = broker.dead_letters(queue, limit)
    output = invocation.output
    if output.is_json:
        output.json([_described(letter) for letter in letters])
    elif letters:
        output.table(
            ["LETTER", "DIED", "QUEUE", "REASON", "TASK", "DETAIL"], [_row(one) for one in letters]
        )
    else:
        output.note("No dead letters.")
        if broker.capabilities.knows_workers and not broker.live_workers():
            output.note("Workers of tqconsole keep them, and none is alive here; Celery's do not.")
    return exits.OK


@make_verb("show", click.Argument(["letter_id"]))
def show_letter(invocation: Invocation, letter_id: str) -> int:
    """Show one dead letter, by its id, its task's id or the beginning of one."""
    letter = find_letters(invocation.cluster().broker, [letter_id])[0]
    output = invocation.output
    described = _described(letter)
    if output.is_json:
        output.json(described)
        return exits.OK
    width = max(map(len, described))
    for name, value in described.items():
        # Only the body has lines of its own: a name must not be able to write a field.
        text = str(value) if name == "body" else clean(value, REPLY_CHARS)
        output.text(f"{name.ljust(width)}  {text}")
    return exits.OK


@make_verb(
    "replay",
    click.Argument(["letter_ids"], nargs=-1),
    click.Option(["--all", "is_all"], is_flag=True, help="All of them."),
    click.Option(_QUEUE, help="With --all: of this queue only."),
    click.Option(["-a", "--args"], type=JSON_ARRAY, help="Other positional arguments (JSON)."),
    click.Option(["-k", "--kwargs"], type=JSON_OBJECT, help="Other keyword arguments (JSON)."),
)
def replay(
    invocation: Invocation,
    letter_ids: tuple[str, ...],
    is_all: bool,  # noqa: FBT001 - click passes options by name
    queue: str | None,
    args: list[Any] | None,
    kwargs: dict[str, Any] | None,
) -> int:
    """Put dead letters back into their queues, also with other arguments."""
    invocation.require_writable()
    broker = invocation.cluster().broker
    if (args is not None or kwargs is not None) and len(letter_ids) != 1:
        raise click.UsageError("-a and -k change the arguments of one letter: name it.")
    letters = _chosen(broker, letter_ids, queue, is_all=is_all)
    if args is not None or kwargs is not None:
        return _replay_edited(invocation, letters[0], args, kwargs)
    count = broker.replay([letter.letter_id for letter in letters]) if letters else 0
    return _told(invocation, "replayed", "Replayed", count)


@make_verb(
    "drop",
    click.Argument(["letter_ids"], nargs=-1),
    click.Option(["--all", "is_all"], is_flag=True, help="All of them."),
    click.Option(_QUEUE, help="With --all: of this queue only."),
    click.Option(["-f", "--force"], is_flag=True, help="Do not ask."),
)
def drop(
    invocation: Invocation,
    letter_ids: tuple[str, ...],
    is_all: bool,  # noqa: FBT001 - click passes options by name
    queue: str | None,
    force: bool,  # noqa: FBT001 - click passes options by name
) -> int:
    """Delete dead letters for good."""
    invocation.require_writable()
    broker = invocation.cluster().broker
    letters = _chosen(broker, letter_ids, queue, is_all=is_all)
    if letters and not force:
        if not sys.stdin.isatty():
            raise click.UsageError("Nobody is there to be asked; say -f to drop without one.")
        click.confirm(f"Delete {plural(len(letters), 'dead letter')}?", abort=True, err=True)
    count = broker.drop([letter.letter_id for letter in letters]) if letters else 0
    return _told(invocation, "dropped", "Dropped", count)


verb = VerbGroup(
    "dead",
    help="List, show, replay or drop dead letters: messages that could not be run.",
    commands=[list_letters, show_letter, replay, drop],
)


def _chosen(
    broker: Broker, letter_ids: Sequence[str], queue: str | None, *, is_all: bool
) -> list[DeadLetter]:
    if is_all and not letter_ids:
        return broker.dead_letters(queue, 1_000_000)
    if is_all or queue or not letter_ids:
        raise click.UsageError("Name letters by their ids, or say --all (with -Q for one queue).")
    return find_letters(broker, letter_ids)


def _replay_edited(
    invocation: Invocation,
    letter: DeadLetter,
    args: list[Any] | None,
    kwargs: dict[str, Any] | None,
) -> int:
    broker = invocation.cluster().broker
    try:
        publication = edited(letter, args, kwargs)
    except RefusedError as error:
        raise click.UsageError(
            f"This letter's arguments cannot be read ({error}): give both -a and -k"
        ) from error
    if not read_letter(letter).is_readable:
        invocation.output.note("What its body said of links cannot be read and is left out.")
    # Sent first: a crash in between leaves a letter too many, never one too few.
    broker.publish([publication])
    return _told(invocation, "replayed", "Replayed", broker.drop([letter.letter_id]))


def _told(invocation: Invocation, key: str, word: str, count: int) -> int:
    output = invocation.output
    if output.is_json:
        output.json({key: count})
    else:
        output.line(f"{word} {plural(count, 'dead letter')}.")
    return exits.OK


def _row(letter: DeadLetter) -> list[object]:
    text = read_letter(letter)
    name, task_id = clean_name(text.task_name), clean_name(text.task_id)
    task = f"{name}({task_id})" if name else "-"
    return [letter.letter_id, _when(letter), letter.queue, letter.reason, task, letter.detail]


def _described(letter: DeadLetter) -> dict[str, Any]:
    text = read_letter(letter)
    return {
        "letter": letter.letter_id,
        "died": _when(letter),
        "queue": letter.queue,
        "reason": letter.reason,
        "detail": letter.detail,
        "worker": letter.worker_name,
        "task": text.task_name,
        "id": text.task_id,
        "args": text.args,
        "kwargs": text.kwargs,
        "content_type": letter.message.content_type,
        "headers": letter.message.headers,
        "body": text.body,
    }


def _when(letter: DeadLetter) -> str:
    return datetime.fromtimestamp(letter.died_at, UTC).isoformat(sep=" ", timespec="seconds")
