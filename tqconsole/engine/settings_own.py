"""The settings that Celery does not have, in the form of its table, and both together.

They have no old names. A Celery worker that reads the same configuration passes over them.
"""

from __future__ import annotations

from tqconsole.engine.settings_table import SETTINGS, Setting

#: Name -> setting.
OWN_SETTINGS: dict[str, Setting] = {
    setting.name: setting
    for setting in (
        Setting(
            "worker_busy_poll",
            "float",
            0.0004,
            "s",
            "how long a worker whose last wait was shorter looks for the next message, outcome or"
            " answer before it sleeps; at most 0.01; 0, and where it may use one processor only:"
            " never",
        ),
    )
}

#: Name -> setting, Celery's first.
KNOWN_SETTINGS: dict[str, Setting] = {**SETTINGS, **OWN_SETTINGS}
