"""The app: the hub that users hold, and the phases of its work, a file each."""

from __future__ import annotations

from tqconsole.engine.app.hub import (
    App,
    Celery,
    app_or_default,
    current_app,
    current_task,
    shared_task,
)

__all__ = ["App", "Celery", "app_or_default", "current_app", "current_task", "shared_task"]
