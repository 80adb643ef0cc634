"""`docs/commands.md`, from the table: `python -m tqconsole.engine.control.commands_text`.

The table is the only place where a command is described; a test fails when the page was not
written anew.
"""

from __future__ import annotations

import sys

from tqconsole.engine.control import Panel
from tqconsole.engine.control.table import Command, Danger, Kind

_INTRODUCTION = """\
# Remote control commands

A command goes to all workers, or to those that `--destination` names: exact node names, short ones
(`w1` is every `w1@...`), shell patterns (`w*`), separated by commas. `tqconsole inspect COMMAND`
asks, `tqconsole control COMMAND` has something done; `--json` prints the replies as JSON. The same
commands are methods of `app.control`, `app.control.inspect()` and `RemoteControl`; names,
arguments and replies are Celery's, so they work on Celery's workers, and Celery's on ours.

The answer comes as soon as every worker that the broker knows has replied; where it cannot know
them, after `--timeout` (1 second). Exit code 0: all answered; 1: one refused; 69: nobody answered.

**changes**: how workers behave until it is taken back or they restart. **ends**: runs, children or
workers. A read-only console sends neither, nor any other control command.

Commands of your own: `@control_command` and `@inspect_command` from `tqconsole.engine.control`, in
a module that the app imports. The function gets the worker's panel and the arguments, and returns
what JSON can carry.
"""

_HEADINGS = {Kind.INSPECT: "## inspect", Kind.CONTROL: "## control"}
_DANGER = {Danger.NONE: "", Danger.CHANGES: "changes", Danger.ENDS: "ends"}


def commands_markdown() -> str:
    """Return the whole page."""
    parts = [_INTRODUCTION]
    parts.extend(
        f"{heading}\n\n{_table(Panel.of_kind(kind))}" for kind, heading in _HEADINGS.items()
    )
    return "\n".join(parts)


def _table(commands: list[Command]) -> str:
    lines = ["| Command | Arguments | What it does | Danger | Also |", "|---|---|---|---|---|"]
    lines.extend(_row(command) for command in commands)
    return "\n".join(lines) + "\n"


def _row(command: Command) -> str:
    cells = (
        f"`{command.name}`",
        f"`{_escaped(command.signature)}`" if command.signature else "",
        _escaped(command.help),
        _DANGER[command.danger],
        ", ".join(f"`{alias}`" for alias in command.aliases),
    )
    return f"| {' | '.join(cells)} |"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(commands_markdown())
