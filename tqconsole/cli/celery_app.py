"""A Celery app named by `-A`: its cluster can be watched and asked, its tasks called by name.

Nothing of Celery is imported here. The app's own settings say where its broker is; an app of ours
is made with those, and reads the schedule and the signatures of the tasks from the other one. What
runs tasks wants an app of ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tqconsole.engine.app import App

#: Settings that say where a cluster is and how it speaks, by their beginnings.
_TAKEN = (
    *("broker_", "result_", "control_", "event_", "redis_", "task_default_", "task_queue"),
    *("task_serializer", "accept_content", "timezone", "enable_utc", "task_create_missing"),
)


def is_celery_app(found: object) -> bool:
    """True for an app of Celery's own, or of a class that descends from it."""
    return any(
        kind.__name__ == "Celery" and kind.__module__.startswith("celery.")
        for kind in type(found).__mro__
    )


def mirrored(celery_app: Any) -> App:
    """Return an app of ours on the cluster of a Celery app. Raises what its settings raise."""
    from tqconsole.engine.app import App  # noqa: PLC0415 - imports the engine

    app = App(celery_app.main or "celery", set_as_current=False)
    settings = celery_app.conf.table(with_defaults=False, censored=False)
    app.conf.update({name: value for name, value in settings.items() if name.startswith(_TAKEN)})
    # Celery's own default, which is not ours: there a broker is always named.
    if not settings.get("broker_url"):
        app.conf.update(broker_url=celery_app.connection().as_uri(include_password=True))
    return app


class CeleryReader:
    """Reads a Celery app's tasks and schedule, after importing what it lists."""

    def __init__(self, celery_app: Any) -> None:
        self._app = celery_app

    def import_modules(self) -> None:
        """Import what the app lists, and make its tasks."""
        self._app.loader.import_default_modules()
        self._app.finalize()

    @property
    def tasks(self) -> Mapping[str, Any]:
        """The tasks by name."""
        return dict(self._app.tasks)

    @property
    def conf(self) -> Any:
        """Celery's settings: the schedule stands in `beat_schedule`."""
        return self._app.conf

    @property
    def timezone(self) -> Any:
        """The zone in which its schedules are due."""
        return self._app.timezone
