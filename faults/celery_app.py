"""The storm's app as a project of the real Celery: the same tasks, for `--engine celery`."""

from __future__ import annotations

import os
import time
from typing import Any

from celery import Celery

from faults.ledger import WORK, Ledger

app = Celery("storm", broker=os.environ["STORM_BROKER"], backend=os.environ["STORM_BACKEND"])
app.conf.update(
    task_acks_late=os.environ.get("STORM_ACKS") == "late",
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


app.task(name=WORK, bind=True)(work)
