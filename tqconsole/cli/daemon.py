"""`--detach` and its company: a verb that goes on in the background, as another user.

The command line runs once more in a process of its own session. A fork of this process would take
along what is imported already, with its threads and sockets.
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from tqconsole.cli import exits
from tqconsole.cli.invocation import Invocation

#: Says to the process in the background that it is the one, and where it tells that it works.
_DETACHED = "TQCONSOLE_DETACHED"
_NOBODY = "-1"
#: Seconds after which nobody waits for that word any more.
_START_S = 60.0


def daemon_options(*detach_names: str) -> list[click.Option]:
    """Return the options that a verb with a long life has, as in Celery."""
    return [
        click.Option([*detach_names, "is_detached"], is_flag=True, help="Go on in the background."),
        click.Option(["--uid"], help="Run as this user (name or number)."),
        click.Option(["--gid"], help="Run in this group (name or number)."),
        click.Option(["--umask"], help="Mask of new files, octal."),
        click.Option(["--executable"], help="Python to detach with, instead of this one."),
    ]


def take_daemon_options(given: dict[str, Any]) -> dict[str, Any]:
    """Take the values of `daemon_options` out of a verb's."""
    names = ("is_detached", "uid", "gid", "umask", "executable")
    return {name: given.pop(name) for name in names}


def settle_privileges(daemon: Mapping[str, Any]) -> None:
    """Become who was asked for. Raises: ImproperlyConfigured."""
    from tqconsole.engine.worker.privileges import privileges_of  # noqa: PLC0415 - few need it

    privileges_of(daemon["uid"], daemon["gid"], daemon["umask"]).take()


def is_to_detach(daemon: dict[str, Any]) -> bool:
    """Return True where another process is to go on; in that process False."""
    told_to = os.environ.pop(_DETACHED, None)
    if told_to is None:
        return bool(daemon["is_detached"])
    daemon["ready_fileno"] = int(told_to)
    return False


def tell_ready(daemon: Mapping[str, Any]) -> None:
    """Let whoever started this in the background go: what can go wrong at the start has not."""
    fileno = daemon.get("ready_fileno", -1)
    if fileno >= 0:
        with contextlib.suppress(OSError):
            os.write(fileno, b"!")
            os.close(fileno)


def detach(invocation: Invocation, daemon: Mapping[str, Any], logfile: str | None) -> int:
    """Start this command line again in the background; return the exit code.

    One that ends at once has failed: its last line is told.
    """
    place = Path(logfile) if logfile else Path(os.devnull)
    begin = place.stat().st_size if place.is_file() else 0
    reader, writer = os.pipe()
    # What goes wrong before there is a log goes where the log will be.
    with place.open("ab") as out:
        process = subprocess.Popen(  # noqa: S603 - our own command line
            command_again(invocation, daemon["executable"]),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=out,
            env={**os.environ, _DETACHED: str(writer)},
            pass_fds=(writer,),
            start_new_session=True,
        )
    os.close(writer)
    # Its word, or its end, which closes the other side too.
    select.select([reader], [], [], _START_S)
    has_begun = os.read(reader, 1) if select.select([reader], [], [], 0)[0] else b"?"
    os.close(reader)
    if has_begun:
        process.returncode = 0  # it is nobody's child any more: nobody waits for it
        return exits.OK
    code = process.wait()
    if code:
        reason = ""
        if place.is_file():
            reason = place.read_text(errors="replace")[begin:].strip().rpartition("\n")[2]
        invocation.output.error(reason or f"it ended at once with code {code}; try without detach")
    return code


def start_again(invocation: Invocation) -> None:
    """Become this command line once more, in the same process; does not return."""
    command = command_again(invocation)
    sys.stdout.flush()
    os.environ[_DETACHED] = _NOBODY  # whoever was in the background stays there
    os.execv(command[0], command)  # noqa: S606 - our own command line


def command_again(invocation: Invocation, executable: str | None = None) -> list[str]:
    """Return the words that start this command line once more."""
    program = [sys.argv[0]] if invocation.is_given and sys.argv[0] else ["-m", "tqconsole"]
    return [executable or sys.executable, *program, *invocation.words]
