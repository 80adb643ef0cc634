"""Which broker is meant, and why: one order everywhere (design §4), told to the user with a reason.

Also the notes by which an empty queue can explain itself: every worker on an embedded file writes
down where it is, so that a caller in the wrong folder hears "a worker is alive on ...".
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from tqconsole.engine.exceptions import ImproperlyConfigured

#: Environment names in the order in which they win.
BROKER_VARIABLES = ("TQCONSOLE_BROKER", "CELERY_BROKER_URL")
APP_VARIABLES = ("TQCONSOLE_APP", "CELERY_APP")

#: What makes a folder a project's root where none above holds a `.tqconsole`.
ROOT_MARKS = ("pyproject.toml", ".git")


class Resolved(msgspec.Struct, frozen=True):
    """A broker's URL and, in words, where it came from."""

    url: str
    reason: str
    #: True when nobody named a broker and the embedded one was taken.
    is_default: bool = False


class KnownWorker(msgspec.Struct, frozen=True):
    """A note that a worker left about itself."""

    url: str
    worker_name: str
    pid: int


def resolve_broker(
    explicit: str | None = None,
    environ: Mapping[str, str] | None = None,
    context_url: str | None = None,
    app_url: str | None = None,
    cwd: Path | None = None,
) -> Resolved:
    """Return the broker that is meant.

    Order: `explicit` (`-b`), the environment, the context asked for, the app's own, the project's
    pyproject.toml, the project root's `.tqconsole/queue.db`, the user's state folder.
    Raises: ImproperlyConfigured when pyproject.toml cannot be read.
    """
    variables = os.environ if environ is None else environ
    folder = Path.cwd() if cwd is None else cwd
    if explicit:
        return Resolved(explicit, "given with -b/--broker")
    for name in BROKER_VARIABLES:
        if variables.get(name):
            return Resolved(variables[name], f"${name}")
    if context_url:
        return Resolved(context_url, "the context")
    if app_url:
        return Resolved(app_url, "the app's configuration")
    return _of_project(folder) or _of_user(variables)


def project_table(folder: Path) -> tuple[Path, dict[str, Any]] | None:
    """Return the nearest pyproject.toml at or above `folder` and its `[tool.tqconsole]` table.

    Raises: ImproperlyConfigured when that file is not TOML.
    """
    for candidate in _places(folder):
        path = candidate / "pyproject.toml"
        if not path.is_file():
            continue
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
            raise ImproperlyConfigured(f"{path} cannot be read: {error}") from error
        table = content.get("tool", {}).get("tqconsole", {})
        return path, table if isinstance(table, dict) else {}
    return None


def project_root(folder: Path) -> tuple[Path, str] | None:
    """Return the nearest project root at or above `folder` and the mark that made it one.

    The nearest `.tqconsole` folder wins over the other marks; the file system's root is no project.
    """
    places = [place for place in _places(folder) if place != place.parent]
    for place in places:
        if (place / ".tqconsole").is_dir():
            return place, ".tqconsole"
    for place in places:
        for mark in ROOT_MARKS:
            if (place / mark).exists():
                return place, mark
    return None


def note_worker(url: str, worker_name: str, pid: int, environ: Mapping[str, str]) -> Path:
    """Write down that a worker serves the embedded broker at `url`, and return the note's path."""
    folder = _state_folder(environ) / "known"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = hashlib.sha256(f"{url}\0{worker_name}".encode()).hexdigest()[:16]
    path = folder / f"{key}.json"
    path.write_text(json.dumps({"url": url, "worker_name": worker_name, "pid": pid}))
    return path


def known_workers(environ: Mapping[str, str]) -> list[KnownWorker]:
    """Return the noted workers whose process still lives; notes of dead ones are removed."""
    folder = _state_folder(environ) / "known"
    alive = []
    for path in sorted(folder.glob("*.json")):
        worker = _read_note(path)
        if worker is not None and _is_process(worker.pid):
            alive.append(worker)
        else:
            path.unlink(missing_ok=True)
    return alive


def _places(folder: Path) -> list[Path]:
    """Return the folder and those above it, without such as /tmp: what lies there is anybody's."""
    return [place for place in (folder, *folder.parents) if not _is_everybodys(place)]


def _is_everybodys(folder: Path) -> bool:
    shared = stat.S_IWOTH | stat.S_ISVTX
    try:
        return folder.stat().st_mode & shared == shared
    except OSError:
        return False


def _of_project(folder: Path) -> Resolved | None:
    found = project_table(folder)
    if found is not None:
        path, table = found
        url = table.get("broker")
        if isinstance(url, str) and url:
            return Resolved(_relative_to(path.parent, url), f"[tool.tqconsole] broker in {path}")
    root = project_root(folder)
    if root is None:
        return None
    place, mark = root
    return Resolved(_embedded(place / ".tqconsole"), f"project root from {mark}", is_default=True)


def _of_user(variables: Mapping[str, str]) -> Resolved:
    return Resolved(_embedded(_state_folder(variables)), "outside any project", is_default=True)


def _embedded(folder: Path) -> str:
    return f"sqlite:///{(folder / 'queue.db').as_posix().lstrip('/')}"


def _relative_to(folder: Path, url: str) -> str:
    """Make `sqlite:relative.db` absolute: relative to the file that names it, never to the cwd."""
    scheme, _, rest = url.partition(":")
    if scheme != "sqlite" or rest.startswith("/"):
        return url
    if not rest or rest.startswith("?"):
        return _embedded(folder / ".tqconsole") + rest
    return f"sqlite:///{(folder / rest).as_posix().lstrip('/')}"


def _state_folder(variables: Mapping[str, str]) -> Path:
    named = variables.get("XDG_STATE_HOME")
    if named:
        return Path(named) / "tqconsole"
    import platformdirs  # noqa: PLC0415 - 10 ms that most commands never need

    return Path(platformdirs.user_state_dir("tqconsole", appauthor=False))


def _read_note(path: Path) -> KnownWorker | None:
    try:
        note = json.loads(path.read_text())
        return KnownWorker(str(note["url"]), str(note["worker_name"]), int(note["pid"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _is_process(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
