"""`--pidfile`: one worker per file. A file of a process that is gone is replaced."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tqconsole.engine.exceptions import EngineError


class PidfileTakenError(EngineError):
    """Another process that lives holds the file (exit code 73, as Celery's EX_CANTCREAT)."""


@contextmanager
def held_pidfile(path: str | os.PathLike[str] | None) -> Iterator[None]:
    """Hold the file with this process's id while this lasts; None: there is none.

    Raises: PidfileTakenError naming the file and the process.
    """
    if not path:
        yield
        return
    file = Path(path)
    _create(file)
    try:
        yield
    finally:
        if _pid_in(file) == os.getpid():
            file.unlink(missing_ok=True)


def refuse_taken(path: str | os.PathLike[str]) -> None:
    """Raise PidfileTakenError when a process that lives holds the file; changes nothing."""
    pid = _pid_in(Path(path))
    if pid is not None and pid != os.getpid() and _is_alive(pid):
        raise PidfileTakenError(f"{path} is held by process {pid}, which runs")


def _create(file: Path) -> None:
    for _ in range(2):
        try:
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        except FileExistsError:
            pid = _pid_in(file)
            if pid is not None and pid != os.getpid() and _is_alive(pid):
                raise PidfileTakenError(f"{file} is held by process {pid}, which runs") from None
            file.unlink(missing_ok=True)
            continue
        except OSError as error:
            raise PidfileTakenError(f"{file} cannot be made: {error.strerror}") from error
        with os.fdopen(descriptor, "w") as opened:
            opened.write(f"{os.getpid()}\n")
        return
    raise PidfileTakenError(f"{file} is being made by another process")


def _pid_in(file: Path) -> int | None:
    try:
        return int(file.read_text().strip())
    except (OSError, ValueError):
        return None


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
