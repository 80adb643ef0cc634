"""Importing the user's app: what fails there is told in one line, with its file and line."""

from __future__ import annotations

import contextlib
import difflib
import os
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tqconsole.cli import exits
from tqconsole.cli.celery_app import CeleryReader, is_celery_app, mirrored
from tqconsole.engine.exceptions import EngineError, ImproperlyConfigured

if TYPE_CHECKING:
    from tqconsole.engine.app import App


class AppError(click.ClickException):
    """The user's app cannot be loaded; the text says why."""

    exit_code = exits.USAGE


def load_app(path: str) -> tuple[App, CeleryReader | None]:
    """Return the app that `-A` names; one of Celery's own as ours on its cluster, and its reader.

    Raises: AppError with the reason and the nearest name.
    """
    from tqconsole.engine.app.path import find_app, find_object  # noqa: PLC0415 - imports the engine

    with importing_app(path):
        try:
            found = find_object(path)
            if is_celery_app(found):
                return mirrored(found), CeleryReader(found)
            return find_app(path), None
        except ImproperlyConfigured as error:
            raise AppError(f"{error}{_nearest(path)}") from error


@contextlib.contextmanager
def importing_app(name: str) -> Iterator[None]:
    """Turn what the user's modules raise into one line. `TQCONSOLE_TRACEBACK` lets it through."""
    try:
        yield
    except (EngineError, click.ClickException):
        raise
    except (Exception, SystemExit) as error:
        if os.environ.get("TQCONSOLE_TRACEBACK"):
            raise
        raise AppError(
            f"Unable to load celery application. Importing {name!r} failed with "
            f"{type(error).__name__}: {_message(error)} (TQCONSOLE_TRACEBACK=1 shows more)"
        ) from error


def place_of(error: BaseException) -> str:
    """Return file and line of what raised, without the import system's own frames."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<frozen")
    ]
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""


def _message(error: BaseException) -> str:
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{text} ({place_of(error)})"


def _nearest(path: str) -> str:
    """Return a hint: a module of this folder whose name is near to what was said."""
    wanted = path.partition(":")[0].partition(".")[0]
    here = Path.cwd()
    names = {entry.stem for entry in here.iterdir() if entry.suffix == ".py" or _is_package(entry)}
    if wanted in names:
        return ""
    nearest = difflib.get_close_matches(wanted, names, n=1)
    if nearest:
        return f". Did you mean {nearest[0]}?"
    return f". Looked in {here} and in what is installed; --workdir names another folder"


def _is_package(entry: Path) -> bool:
    return entry.name.isidentifier() and any((entry / name).is_file() for name in _PACKAGE_FILES)


_PACKAGE_FILES = ("__init__.py", "celery.py", "tasks.py")
