"""The engine: a distributed task queue that speaks Celery. This is its public door.

Names are looked up when first used, so that importing the package costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # editors and type checkers see what `__getattr__` finds
    from tqconsole.engine.app import (
        App,
        Celery,
        app_or_default,
        current_app,
        current_task,
        shared_task,
    )
    from tqconsole.engine.app.path import find_app
    from tqconsole.engine.canvas.join import chord
    from tqconsole.engine.canvas.parallel import chunks, group, xmap, xstarmap
    from tqconsole.engine.canvas.sequence import chain
    from tqconsole.engine.canvas.signature import Signature, maybe_signature, signature, subtask
    from tqconsole.engine.result import (
        AsyncResult,
        EagerResult,
        GroupResult,
        ResultSet,
        allow_join_result,
    )
    from tqconsole.engine.task import Task

#: Public name -> the module that owns it.
_HOMES = {
    "App": "tqconsole.engine.app",
    "AsyncResult": "tqconsole.engine.result",
    "Celery": "tqconsole.engine.app",
    "EagerResult": "tqconsole.engine.result",
    "Signature": "tqconsole.engine.canvas",
    "Task": "tqconsole.engine.task",
    "GroupResult": "tqconsole.engine.result",
    "ResultSet": "tqconsole.engine.result",
    "allow_join_result": "tqconsole.engine.result",
    "app_or_default": "tqconsole.engine.app",
    "chain": "tqconsole.engine.canvas",
    "chord": "tqconsole.engine.canvas",
    "chunks": "tqconsole.engine.canvas",
    "current_app": "tqconsole.engine.app",
    "current_task": "tqconsole.engine.app",
    "find_app": "tqconsole.engine.app.path",
    "group": "tqconsole.engine.canvas",
    "maybe_signature": "tqconsole.engine.canvas",
    "shared_task": "tqconsole.engine.app",
    "signature": "tqconsole.engine.canvas",
    "subtask": "tqconsole.engine.canvas",
    "xmap": "tqconsole.engine.canvas",
    "xstarmap": "tqconsole.engine.canvas",
}

__all__ = [
    "App",
    "AsyncResult",
    "Celery",
    "EagerResult",
    "GroupResult",
    "ResultSet",
    "Signature",
    "Task",
    "allow_join_result",
    "app_or_default",
    "chain",
    "chord",
    "chunks",
    "current_app",
    "current_task",
    "find_app",
    "group",
    "maybe_signature",
    "shared_task",
    "signature",
    "subtask",
    "xmap",
    "xstarmap",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(home), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return __all__
