"""The command line's entry: a table of verbs, each in a module of its own, imported when asked for.

`tqconsole --version` runs inside scripts and prompts, so this module imports nothing but the
version; click comes with the first verb, Textual with the console only.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from tqconsole import __version__

#: Verb -> (its module, one line of help). The object there is called `verb`.
COMMANDS: dict[str, tuple[str, str]] = {
    "worker": ("tqconsole.cli.worker", "Run a worker."),
    "call": ("tqconsole.cli.call", "Call a task by its name."),
    "result": ("tqconsole.cli.result", "Wait for a task's result and print it."),
    "status": ("tqconsole.cli.status", "Show which workers are online."),
    "inspect": ("tqconsole.cli.inspect", "Ask the workers something."),
    "control": ("tqconsole.cli.control", "Have the workers do something."),
    "events": ("tqconsole.cli.events", "Watch events, on a screen or as text."),
    "top": ("tqconsole.cli.top", "Print the cluster's figures, again and again."),
    "watch": ("tqconsole.cli.watch", "Wait until something is wrong, and exit with 3."),
    "history": ("tqconsole.cli.history", "See or delete what the console keeps over restarts."),
    "purge": ("tqconsole.cli.purge", "Drop all waiting messages of queues."),
    "dead": ("tqconsole.cli.dead", "List, show, replay or drop dead letters."),
    "list": ("tqconsole.cli.list_", "List queues and what leads to them."),
    "migrate": ("tqconsole.cli.migrate", "Move messages from one broker to another."),
    "amqp": ("tqconsole.cli.amqp", "Exchanges, queues and messages by hand."),
    "graph": ("tqconsole.cli.graph", "Draw the workers for graphviz."),
    "logtool": ("tqconsole.cli.logtool", "Count and find tasks in the logs of workers."),
    "shell": ("tqconsole.cli.shell", "Open a Python prompt with the app at hand."),
    "upgrade": ("tqconsole.cli.upgrade", "Give old settings their new names."),
    "report": ("tqconsole.cli.report", "Print versions and settings for a bug report."),
    "demo": ("tqconsole.cli.demo", "Run a small real cluster and watch it."),
    "help": ("tqconsole.cli.manual", "Show help, also of one verb."),
}


def main(argv: Sequence[str] | None = None, app: object = None) -> int:
    """Run the command line and return its exit code.

    Args:
        argv: the words behind the program's name; None for this process's own.
        app: the App whose `start` or `worker_main` was called; `-A` is not needed then.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["--version"]:
        sys.stdout.write(f"tqconsole {__version__}\n")
        return 0
    from tqconsole.green import patch, pool_of  # noqa: PLC0415 - nor must it wait for this

    pool_name = pool_of(words)
    if pool_name:
        patch(pool_name)
    from tqconsole.cli.program import run  # noqa: PLC0415 - `--version` must not wait for click

    return run(words, app)
