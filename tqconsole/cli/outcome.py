"""Waiting for a call's end and printing it: `result`, and `call --wait`."""

from __future__ import annotations

from typing import Any

from tqconsole.cli import exits
from tqconsole.cli.invocation import Invocation
from tqconsole.engine import states
from tqconsole.engine.backends.base import Backend
from tqconsole.engine.exceptions import NotSupportedError
from tqconsole.engine.exceptions import TimeoutError as WaitTimeoutError


def require_readable_store(backend: Backend, *, is_caller: bool = False) -> None:
    """Make sure that results can be read here; `is_caller`: by the process that sends the call.

    Raises: NotSupportedError saying why not.
    """
    if not backend.is_enabled:
        raise NotSupportedError(
            "No result store is configured, so no result was kept: "
            "set result_backend or say --result-backend URL"
        )
    if is_caller and backend.is_sent_to_callers:
        return
    if not backend.is_readable_by_others:
        raise NotSupportedError(
            f"Results in {backend.url} can be read by the process that sent the task only: "
            "use sqlite, redis or a database as --result-backend"
        )


def print_outcome(invocation: Invocation, result: Any, timeout_s: float | None) -> int:
    """Wait for the end, print the value, and return the exit code: 1 when it failed."""
    output = invocation.output
    if timeout_s is None and not result.ready():
        output.note(f"waiting for {result.id}: {result.state} (Ctrl-C to stop; --timeout SECONDS)")
    try:
        value = result.get(timeout=timeout_s, propagate=False)
    except WaitTimeoutError:
        output.error(f"{result.id} has not ended within {timeout_s:g} s: it is {result.state}")
        return exits.FAILED
    state = result.state
    has_value = state not in states.EXCEPTION_STATES
    if output.is_json:
        shown = value if has_value else repr(value)
        output.json(
            {
                "id": result.id,
                "state": state,
                "result": shown,
                "traceback": result.traceback,
                "date_done": result.date_done,
            }
        )
    elif has_value:
        output.text(value if isinstance(value, str) else repr(value))
    else:
        output.error(f"{state}: {value!r}")
    return exits.OK if has_value else exits.FAILED
