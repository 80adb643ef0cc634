"""Attributes by which Celery's tasks choose classes of its worker: which of them are taken.

A `Request` of one's own hears in the worker what becomes of a run (`worker/request.py`). A
`Strategy` decides how messages are let in, which is the worker's own business here.
"""

from __future__ import annotations

import importlib
from typing import Any

from tqconsole.engine.exceptions import ImproperlyConfigured

_CELERYS = "celery.worker."


def take_parts(task: Any) -> None:
    """Give the task the class that its `Request` names. Raises: ImproperlyConfigured."""
    strategy = getattr(task, "Strategy", None)
    if not str(strategy or _CELERYS).startswith(_CELERYS):
        raise ImproperlyConfigured(
            f"task {task.name}: Strategy replaces a part of Celery's worker that this one does not"
            " have; a Request of your own is told of every run"
        )
    named = getattr(task, "Request", None)
    if named is None or str(named).startswith(_CELERYS):
        task.Request = None
    elif isinstance(named, str):
        task.Request = _loaded(task.name, named)
    elif not isinstance(named, type):
        raise ImproperlyConfigured(f"task {task.name}: Request is a class, not {named!r}")


def _loaded(task_name: str, name: str) -> Any:
    module_name, _, class_name = name.replace(":", ".").rpartition(".")
    try:
        return getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ImproperlyConfigured(
            f"task {task_name}: Request {name!r} cannot be imported: {error}"
        ) from error
