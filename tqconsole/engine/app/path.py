"""From what `-A` says to the app: `proj`, `proj.celery`, `proj:app`, `proj.celery:app`.

A module is searched in Celery's order: its `app`, its `celery`, the submodule `celery` by the same
rules, then any app among its globals. The working directory can be imported from.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

from tqconsole.engine.app import App
from tqconsole.engine.app.config import with_cwd_on_path
from tqconsole.engine.current import evaluate
from tqconsole.engine.exceptions import ImproperlyConfigured


def find_app(path: str) -> App:
    """Return the app that `path` means and make it the default one.

    Raises: ImproperlyConfigured with the reason, when nothing of that name can be imported or no
    app is in it. Errors inside the user's modules pass through.
    """
    found = find_object(path)
    if not isinstance(found, App):
        raise _unable(f"{path!r} is a {type(found).__name__}, not an app")
    found.set_default()
    return found


def find_object(path: str) -> Any:
    """Return what stands where `path` looks for an app, whatever it is; raises as `find_app`."""
    with_cwd_on_path()
    module_name, separator, attribute = path.partition(":")
    if not module_name:
        raise _unable(f"{path!r} names no module")
    if separator:
        found = _attributes(_imported(module_name, path), attribute, path)
    else:
        found = _dotted(path)
    candidate = _search(found) if isinstance(found, ModuleType) else evaluate(found)
    if isinstance(found, ModuleType) and candidate is None:
        raise _unable(f"Module {found.__name__!r} has no attribute 'app' or 'celery', and no app")
    return candidate


def _dotted(path: str) -> Any:
    """Import the longest part of a dotted path that is a module, and follow the rest."""
    module_name, attributes = path, ""
    while True:
        try:
            module = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            if not _is_about(error, module_name):
                raise
            parent, _, last = module_name.rpartition(".")
            if not parent:
                raise _unable(f"No module named {path!r}") from error
            module_name = parent
            attributes = f"{last}.{attributes}" if attributes else last
            continue
        return _attributes(module, attributes, path) if attributes else module


def _imported(module_name: str, path: str) -> ModuleType:
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if not _is_about(error, module_name):
            raise
        raise _unable(f"No module named {error.name!r} (from {path!r})") from error


def _is_about(error: ModuleNotFoundError, module_name: str) -> bool:
    """Return True when the module itself is missing, not something that it imports."""
    missing = error.name or ""
    return module_name == missing or module_name.startswith(f"{missing}.")


def _attributes(found: Any, attributes: str, path: str) -> Any:
    for name in attributes.split("."):
        try:
            found = getattr(found, name)
        except AttributeError as error:
            raise _unable(f"{_name_of(found)} has no attribute {name!r} (from {path!r})") from error
    return found


def _search(module: ModuleType) -> Any:
    for name in ("app", "celery"):
        found = getattr(module, name, None)
        if found is not None and not isinstance(found, ModuleType):
            return evaluate(found)
    if hasattr(module, "__path__"):
        found = _search_submodule(f"{module.__name__}.celery")
        if found is not None:
            return found
    return next((value for value in vars(module).values() if isinstance(value, App)), None)


def _search_submodule(name: str) -> Any:
    try:
        return _search(importlib.import_module(name))
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        return None


def _name_of(found: Any) -> str:
    if isinstance(found, ModuleType):
        return f"Module {found.__name__!r}"
    return f"{type(found).__name__} {found!r:.60}"


def _unable(reason: str) -> ImproperlyConfigured:
    return ImproperlyConfigured(f"Unable to load celery application.\n{reason}")
