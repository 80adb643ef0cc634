"""The project's app. With the real Celery only the import line differs."""

from __future__ import annotations

from tqconsole.engine import Celery

app = Celery("proj", include=["proj.tasks"])

app.conf.update(
    result_expires=3600,
    # A task is acknowledged after it ran: if its worker dies, another one runs it.
    task_acks_late=True,
)

if __name__ == "__main__":
    app.start()
