"""The app that is measured: a task that does nothing, with the engine's defaults."""

from __future__ import annotations

from tqconsole.engine import App

app = App("bench", set_as_current=False)


@app.task(name="bench.noop")
def noop(number: int = 0) -> int:
    """Return what came in."""
    return number
