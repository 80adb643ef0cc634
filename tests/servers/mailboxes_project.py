"""One project twice: `MAILBOXES_URL` is the broker, `MAILBOXES_SETTINGS` what both are told."""

from __future__ import annotations

import json
import os

from celery import Celery

from tqconsole.engine.app import App

URL = os.environ["MAILBOXES_URL"]
SETTINGS = json.loads(os.environ["MAILBOXES_SETTINGS"])

ours = App("ours", broker=URL, set_as_current=False, changes=SETTINGS)
theirs = Celery("theirs", broker=URL, set_as_current=False, changes=SETTINGS)


def nothing() -> None:
    """Do nothing."""


for app in (ours, theirs):
    app.task(name="nothing")(nothing)
