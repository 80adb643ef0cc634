"""The app under fire: a task that writes in the ledger when it starts and when it ends."""

from __future__ import annotations

import os
import time

from faults.ledger import WORK, Ledger
from tqconsole.engine import App

app = App("storm", set_as_current=False)
app.conf.update(task_acks_late=os.environ.get("STORM_ACKS") == "late", result_expires=3600)


@app.task(name=WORK, bind=True)
def work(self: object, duration_s: float) -> int:
    """Take `duration_s` seconds between two lines of the ledger."""
    task_id = self.request.id  # type: ignore[attr-defined] # a bound task
    ledger = Ledger.from_environment()
    ledger.started(task_id)
    time.sleep(duration_s)
    ledger.ended(task_id)
    return os.getpid()
