"""The storm's app as a project of the real Celery: the same tasks, for `--engine celery`."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from celery import Celery

from faults.chord_tasks import add_chord_tasks
from faults.ledger import DIE, WORK, Ledger

app = Celery("storm", broker=os.environ["STORM_BROKER"], backend=os.environ["STORM_BACKEND"])
app.conf.update(
    task_acks_late=os.environ.get("STORM_ACKS") == "late",
    # Without it Celery gives up a late-ack task whose child died.
    task_reject_on_worker_lost=os.environ.get("STORM_ACKS") == "late",
    result_expires=3600,
    broker_connection_retry_on_startup=True,
    # As short as it can be: by default what a killed worker held stays hidden for an hour.
    broker_transport_options={"visibility_timeout": 5, "unacked_restore_interval": 1},
)


def work(self: Any, duration_s: float) -> int:
    """Take `duration_s` seconds between two lines of the ledger."""
    ledger = Ledger.from_environment()
    ledger.started(self.request.id)
    time.sleep(duration_s)
    ledger.ended(self.request.id)
    return os.getpid()


def die(self: Any) -> None:
    """Take the process along, each time."""
    Ledger.from_environment().started(self.request.id)
    os.kill(os.getpid(), signal.SIGKILL)


app.task(name=WORK, bind=True)(work)
app.task(name=DIE, bind=True, acks_late=True, reject_on_worker_lost=True)(die)
add_chord_tasks(app)
