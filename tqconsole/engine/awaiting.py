"""What coroutines do with calls and results: sent in a thread, awaited in their own loop.

Apart from the modules that offer it, because whoever awaits nothing should not pay for asyncio.
"""

from __future__ import annotations

import asyncio
import builtins
import contextlib
from collections.abc import Callable
from typing import Any

from tqconsole.engine import current, exceptions, states
from tqconsole.engine.result_stored import StoredResult


async def await_record(result: StoredResult, timeout_s: float | None) -> None:
    """Return when a result has its record of an end.

    Raises: TimeoutError in time; what the store or the reading of the record raises.
    """
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()

    def told(data: bytes | None, error: Exception | None) -> bool:
        try:
            if data is not None and result.take(data).state not in states.READY_STATES:
                return False
        except Exception as unreadable:  # noqa: BLE001 - raised where it is awaited
            error = unreadable
        with contextlib.suppress(RuntimeError):  # its loop has ended meanwhile
            loop.call_soon_threadsafe(_settle, ended, error)
        return True

    app = result.app
    waiter = app.result_waiters.of(result.backend, app.oid)
    waiter.expect(result.id, told)
    try:
        async with asyncio.timeout(timeout_s):
            await ended
    except builtins.TimeoutError as error:
        if ended.done() and not ended.cancelled():
            raise
        raise exceptions.TimeoutError("The operation timed out.") from error
    finally:
        waiter.give_up(result.id, told)


async def send_in_thread(send: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """Return what `send` returns, in a thread where the same task runs as here."""
    return await asyncio.to_thread(current.carried(send), *args, **options)


def _settle(ended: asyncio.Future[None], error: Exception | None) -> None:
    if ended.done():
        return
    if error is None:
        ended.set_result(None)
    else:
        ended.set_exception(error)
