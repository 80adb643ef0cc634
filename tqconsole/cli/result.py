"""`tqconsole result ID`: wait for a task's result and print it."""

from __future__ import annotations

import click

from tqconsole.cli import exits
from tqconsole.cli.invocation import Invocation
from tqconsole.cli.outcome import print_outcome, require_readable_store
from tqconsole.cli.result_tree import print_tree
from tqconsole.cli.verb import verb as make_verb
from tqconsole.core.aborting import abort
from tqconsole.core.errors import ActionError
from tqconsole.engine.backends.base import Backend


@make_verb(
    "result",
    click.Argument(["task_id"]),
    click.Option(["-t", "--task"], help="The task's name, if it has a result store of its own."),
    click.Option(["--traceback", "is_traceback"], is_flag=True, help="Print the traceback."),
    click.Option(["--abort", "is_abort"], is_flag=True, help="Ask an AbortableTask to stop."),
    click.Option(["--tree", "is_tree"], is_flag=True, help="Print what it has brought about."),
    click.Option(
        ["--timeout"],
        type=click.FloatRange(min=0),
        help="Wait at most so many seconds; without it as long as it takes.",
    ),
)
def verb(
    invocation: Invocation,
    task_id: str,
    task: str | None,
    is_traceback: bool,  # noqa: FBT001 - click passes options by name
    is_tree: bool,  # noqa: FBT001 - as above
    is_abort: bool,  # noqa: FBT001 - as above
    timeout: float | None,
) -> int:
    """Wait until a task has ended and print its value; exit 1 if it failed."""
    app = invocation.app()
    # Results in a store of their own are read without a look at the queue.
    invocation.cluster(needs_queue=app.backend.rides_on(app.broker.place))
    if task is not None:
        invocation.import_modules()
        if task not in app.tasks:
            raise click.UsageError(f"This app has no task {task}; is -A missing?")
    result = app.tasks[task].AsyncResult(task_id) if task else app.AsyncResult(task_id)
    require_readable_store(result.backend)
    if is_abort:
        return _abort(invocation, result.backend, task_id)
    if is_tree:
        print_tree(invocation.output, result)
        return exits.OK
    if is_traceback:
        return _print_traceback(invocation, result.traceback)
    return print_outcome(invocation, result, timeout)


def _abort(invocation: Invocation, backend: Backend, task_id: str) -> int:
    invocation.require_writable()
    try:
        invocation.output.line(abort(backend, task_id))
    except ActionError as error:
        invocation.output.error(str(error))
        return exits.FAILED
    return exits.OK


def _print_traceback(invocation: Invocation, traceback: str | None) -> int:
    output = invocation.output
    if output.is_json:
        output.json({"traceback": traceback})
    elif traceback:
        output.text(traceback.rstrip("\n"))
    else:
        output.note("There is no traceback: it has not failed, or not ended yet.")
    return exits.OK
