"""Both ends of the broadcast commands. Importing it fills the table with our own commands.

`Panel`, `control_command` and `inspect_command` are what users of `celery.worker.control` know.
"""

from tqconsole.engine.control.commands import debug, pool, queues, tasks, worker
from tqconsole.engine.control.table import COMMANDS, control_command, inspect_command

__all__ = ["Panel", "control_command", "inspect_command"]

#: Celery's name for the table (`Panel.register`, `Panel.meta`, `Panel.data`).
Panel = COMMANDS
#: Named here so that importing them is no accident: each registers its commands.
COMMAND_MODULES = (debug, pool, queues, tasks, worker)
