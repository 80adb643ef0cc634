"""`tqconsole history`: what the console has kept of tasks over its restarts, and how to drop it."""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path
from typing import Any

import click

from tqconsole.cli import exits
from tqconsole.cli.invocation import Invocation
from tqconsole.cli.output import plural
from tqconsole.cli.verb import VerbGroup
from tqconsole.cli.verb import verb as make_verb
from tqconsole.core.history_file import HistoryFile, files_of, history_folder, history_path
from tqconsole.engine.clock import SYSTEM_CLOCK
from tqconsole.widgets import figures


@make_verb("list")
def list_files(invocation: Invocation) -> int:
    """List the files of all clusters: what they hold and where they lie."""
    found = [_described(path) for path in _paths()]
    output = invocation.output
    if output.is_json:
        output.json(found)
    elif found:
        columns = ["FILE", "TASKS", "PROBLEMS", "SIZE", "OLDEST", "NEWEST"]
        output.table(columns, [_cells(one) for one in found])
    else:
        output.note(f"Nothing is kept in {history_folder()}.")
    return exits.OK


@make_verb(
    "clear",
    click.Option(["--all", "is_all"], is_flag=True, help="Of every cluster, not of this one only."),
    click.Option(["-f", "--force"], is_flag=True, help="Do not ask."),
)
def clear(
    invocation: Invocation,
    is_all: bool,  # noqa: FBT001 - click passes options by name
    force: bool,  # noqa: FBT001 - as above
) -> int:
    """Delete what was kept of this cluster (-b, --context, -A say which). The cluster keeps all."""
    paths = _paths() if is_all else [_path_here(invocation)]
    files = [file for path in paths for file in files_of(path)]
    output = invocation.output
    if not files:
        output.note(f"Nothing is kept in {history_folder() if is_all else paths[0]}.")
    elif not force:
        _confirm(paths)
    for file in files:
        file.unlink(missing_ok=True)
    if output.is_json:
        output.json({"deleted": [str(file) for file in files]})
    elif files:
        output.line(f"Deleted the history of {plural(len(paths), 'cluster')}.")
    return exits.OK


verb = VerbGroup(
    "history",
    commands=[list_files, clear],
    help="See or delete what the console keeps of tasks over its restarts.",
)


def _paths() -> list[Path]:
    folder = history_folder()
    return sorted(folder.glob("*.db")) if folder.is_dir() else []


def _path_here(invocation: Invocation) -> Path:
    context = invocation.context
    return history_path(context.name if context is not None else "", invocation.app().broker.url)


def _described(path: Path) -> dict[str, Any]:
    try:
        file = HistoryFile(path)
    except sqlite3.Error as error:
        return {"path": str(path), "error": str(error)}
    try:
        held = file.figures()
    except sqlite3.Error as error:
        return {"path": str(path), "error": str(error)}
    finally:
        file.close()
    return {
        "path": str(path),
        "tasks": held.row_count,
        "problems": held.problem_count,
        "bytes": held.file_bytes,
        "oldest_at": held.oldest_at,
        "newest_at": held.newest_at,
    }


def _cells(one: dict[str, Any]) -> list[object]:
    if "error" in one:
        return [one["path"], "-", "-", "-", "-", one["error"]]
    ages = [
        "-" if at is None else figures.age(SYSTEM_CLOCK.now() - at)
        for at in (one["oldest_at"], one["newest_at"])
    ]
    size = figures.size(one["bytes"])
    return [one["path"], figures.count(one["tasks"]), figures.count(one["problems"]), size, *ages]


def _confirm(paths: list[Path]) -> None:
    if not sys.stdin.isatty():
        raise click.UsageError("Nobody is there to be asked; say -f to delete without a question.")
    names = ", ".join(path.stem for path in paths)
    click.confirm(
        f"This deletes what the console has kept of {names}.\nDelete it?", abort=True, err=True
    )
