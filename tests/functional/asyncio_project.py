"""`async def` tasks, for workers as processes of their own."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

from tqconsole.engine.app import App
from tqconsole.engine.exceptions import SoftTimeLimitExceeded

FOLDER = Path(os.environ.get("ASYNCIO_FOLDER", "."))
app = App("asyncio_project", broker=f"sqlite:///{FOLDER}/queue.db", set_as_current=False)
_inside_count = 0


async def until(name: str) -> None:
    while not (FOLDER / name).exists():
        await asyncio.sleep(0.01)


@app.task(name="add")
async def add(x: int, y: int) -> int:
    await asyncio.sleep(0)
    return x + y


@app.task(name="plain")
def plain(x: int) -> int:
    return x * 2


@app.task(name="fail")
async def fail() -> None:
    await asyncio.sleep(0)
    raise ValueError("no")


@app.task(name="crowd")
async def crowd() -> int:
    """Return how many were inside when the gate opened."""
    global _inside_count
    _inside_count += 1
    (FOLDER / "inside").write_text(str(_inside_count))
    await until("gate")
    return _inside_count


@app.task(name="hold", bind=True)
async def hold(self: Any) -> str:
    try:
        (FOLDER / "held").write_text(self.request.id)
        await until("gate")
    except asyncio.CancelledError:
        (FOLDER / "cancelled").write_text(self.request.id)
        raise
    return "released"


@app.task(name="patient")
async def patient() -> str:
    try:
        await until("gate")
    except SoftTimeLimitExceeded:
        await asyncio.sleep(0)
        return "told in time"
    return "released"


@app.task(name="retry", bind=True, max_retries=3)
async def retry(self: Any) -> int:
    await asyncio.sleep(0)
    if self.request.retries < 2:
        raise self.retry(countdown=0.01)
    return int(self.request.retries)


@app.task(name="parent", bind=True)
async def parent(self: Any, x: int) -> list[Any]:
    """Send two calls and await both, while others do the same."""
    first, second = await add.adelay(x, 1), await add.adelay(x, 2)
    return [self.request.id, await first, await second]
