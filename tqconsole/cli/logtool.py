"""`tqconsole logtool`: what the logs of workers tell of tasks, ours and Celery's."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from tqconsole.cli import exits
from tqconsole.cli.invocation import Invocation
from tqconsole.cli.verb import Verb, VerbGroup
from tqconsole.cli.verb import verb as make_verb
from tqconsole.cli.worker_lines import Audit, Entry, entries

_STDIN = Path("-")


def _files() -> click.Argument:
    kind = click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path)
    return click.Argument(["files"], nargs=-1, type=kind)


@make_verb("stats", _files())
def stats(invocation: Invocation, files: tuple[Path, ...]) -> int:
    """Count the tasks, by their ends and by their types."""
    counts = _audited(files).counts()
    output = invocation.output
    if output.is_json:
        output.json(counts)
        return exits.OK
    types = counts.pop("types")
    output.line("Report\n======")
    for name, count in counts.items():
        output.line(f"Task {name}: {count}")
    output.line("Tasks\n=====")
    for name, count in types.items():
        output.text(f"{name}: {count}")
    return exits.OK


@make_verb("errors", _files())
def errors(invocation: Invocation, files: tuple[Path, ...]) -> int:
    """Print the lines of tasks that failed."""
    return _print(invocation, files, lambda entry: entry.what == "failed")


@make_verb("traces", _files())
def traces(invocation: Invocation, files: tuple[Path, ...]) -> int:
    """Print the tracebacks, each behind its line."""
    return _print(invocation, files, lambda entry: bool(entry.more), with_more=True)


@make_verb("debug", _files())
def debug(invocation: Invocation, files: tuple[Path, ...]) -> int:
    """Print the lines that are about no task's beginning or end."""
    return _print(invocation, files, lambda entry: not entry.what)


@make_verb("incomplete", _files())
def incomplete(invocation: Invocation, files: tuple[Path, ...]) -> int:
    """Print the ids of tasks that were received and did not end."""
    open_ones = _audited(files).incomplete()
    if invocation.output.is_json:
        invocation.output.json([{"id": each, "name": name} for each, name in open_ones])
    else:
        for each, _ in open_ones:
            invocation.output.text(f"Did not complete: {each}")
    return exits.OK


def _audited(files: tuple[Path, ...]) -> Audit:
    audit = Audit()
    for entry in _entries(files):
        audit.note(entry)
    return audit


def _print(
    invocation: Invocation,
    files: tuple[Path, ...],
    is_wanted: Callable[[Entry], bool],
    *,
    with_more: bool = False,
) -> int:
    for entry in _entries(files):
        if is_wanted(entry):
            lines = [entry.line, *(entry.more if with_more else ())]
            if invocation.output.is_json:
                invocation.output.json(
                    {"id": entry.task_id, "name": entry.task_name, "lines": lines}
                )
            else:
                invocation.output.text("\n".join(lines))
    return exits.OK


def _entries(files: tuple[Path, ...]) -> Iterator[Entry]:
    """Yield those of all files in turn; of stdin where none is named, as in Celery."""
    for file in files or (_STDIN,):
        if file == _STDIN:
            yield from entries(sys.stdin)
        else:
            with file.open(errors="replace") as lines:
                yield from entries(lines)


_VERBS: list[Verb] = [stats, errors, traces, incomplete, debug]
verb = VerbGroup("logtool", help="Read the logs of workers.", commands=_VERBS)
