"""A coroutine run to its end where nobody can await it: `async def` tasks without an event loop."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any


def run_to_end(coroutine: Any) -> Any:
    """Return what a coroutine returns, after running it in a loop of its own.

    Raises: RuntimeError inside a running loop, which cannot wait for another.
    """
    import asyncio  # noqa: PLC0415 - half of what a client imports, for those that have such tasks

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    coroutine.close()
    raise RuntimeError(
        "an async def task cannot be run to its end inside an event loop: await the function"
        " itself (`await task(...)`), or send the call (`await task.adelay(...)`)"
    )


def ending(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a coroutine function as one that returns when it has ended."""

    @wraps(function)
    def ended(*args: Any, **kwargs: Any) -> Any:
        return run_to_end(function(*args, **kwargs))

    return ended
