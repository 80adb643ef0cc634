"""The app under fire: tasks that write in the ledger when they start and when they end."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from faults.chord_tasks import add_chord_tasks
from faults.ledger import DIE, HOLD, TAKE, WORK, Ledger
from tqconsole.engine import App

app = App("storm", set_as_current=False)
app.conf.update(task_acks_late=os.environ.get("STORM_ACKS") == "late", result_expires=3600)


@app.task(name=WORK, bind=True)
def work(self: Any, duration_s: float) -> int:
    """Take `duration_s` seconds between two lines of the ledger."""
    ledger = Ledger.from_environment()
    ledger.started(self.request.id)
    time.sleep(duration_s)
    ledger.ended(self.request.id)
    return os.getpid()


@app.task(name=HOLD, bind=True)
def hold(self: Any, gate: str) -> int:
    """Run until a file is there."""
    ledger = Ledger.from_environment()
    ledger.started(self.request.id)
    while not os.path.lexists(gate):
        time.sleep(0.02)
    ledger.ended(self.request.id)
    return os.getpid()


@app.task(name=DIE, bind=True, acks_late=True)
def die(self: Any) -> None:
    """Take the process along, each time."""
    Ledger.from_environment().started(self.request.id)
    os.kill(os.getpid(), signal.SIGKILL)


@app.task(name=TAKE)
def take(*args: object, **kwargs: object) -> int:
    """Take anything, and do nothing with it."""
    return len(args) + len(kwargs)


add_chord_tasks(app)
