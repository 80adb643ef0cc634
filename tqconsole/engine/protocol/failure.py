"""Exceptions as data: `{"exc_type", "exc_message", "exc_module"}` (wire.md §4.1).

Writing, our own classes take the module names of Celery's, so that a Celery client can catch them.
Reading looks only at what is loaded already, through the modules' own dictionaries, so that a lazy
module or a module's `__getattr__` cannot be made to import something by a stored name.
"""

from __future__ import annotations

import builtins
import pickle
import sys
from types import ModuleType
from typing import Any

from tqconsole.engine import exceptions
from tqconsole.engine.exceptions import EngineError, RemoteTaskError
from tqconsole.engine.protocol.saferepr import saferepr
from tqconsole.engine.serialization import encode

_OURS = exceptions.__name__
_CELERY = "celery.exceptions"
#: Where Celery keeps what it does not define itself.
_FOREIGN_HOMES = {
    "SoftTimeLimitExceeded": "billiard.exceptions",
    "TimeLimitExceeded": "billiard.exceptions",
    "WorkerLostError": "billiard.exceptions",
    "EncodeError": "kombu.exceptions",
    "OperationalError": "kombu.exceptions",
}
_CELERY_HOMES = frozenset({_CELERY, _OURS, *_FOREIGN_HOMES.values()})
#: Characters of a class's name and of one argument's repr that are kept.
_NAME_CHARS = 255
_REPR_CHARS = 1024


def encode_exception(exc: BaseException, serializer: str = "json") -> dict[str, Any]:
    """Return type, module and arguments of `exc`; an argument that cannot be written is its repr.

    Never raises.
    """
    kind = type(exc)
    if isinstance(exc, RemoteTaskError):
        # Passed on under the name it came with.
        name = str(exc.type_name).removeprefix(f"{exc.module}.")
        return _described(name, exc.module or None, exc.args[1:], serializer)
    module = kind.__module__
    if module == _OURS:
        module = _FOREIGN_HOMES.get(kind.__name__, _CELERY)
    return _described(kind.__qualname__, module, exc.args, serializer)


def decode_exception(described: Any) -> BaseException:
    """Return the exception that a record describes.

    Classes are rebuilt that are Exceptions, not mere BaseExceptions, and builtin, ours or loaded
    already; all else becomes a `RemoteTaskError`. Never raises, imports nothing.
    """
    if isinstance(described, Exception):
        return described
    if not isinstance(described, dict):
        return RemoteTaskError("Exception", saferepr(described))
    name, module = described.get("exc_type"), described.get("exc_module")
    arguments = _arguments(described.get("exc_message", ()))
    if not isinstance(name, str) or not isinstance(module, str | None):
        return RemoteTaskError("Exception", saferepr(described))
    kind = _exception_class(module, name)
    if kind is not None:
        try:
            rebuilt = kind(*arguments)
        except Exception:  # noqa: BLE001 - a class with its own signature; its arguments are kept below
            kind = None
        else:
            # A class's __new__ may return anything.
            if isinstance(rebuilt, Exception):
                return rebuilt
    module = (module or "")[:_NAME_CHARS]
    name = name[:_NAME_CHARS]
    return RemoteTaskError(f"{module}.{name}" if module else name, *arguments, module=module)


def picklable(exc: BaseException) -> BaseException:
    """Return `exc` if pickle can carry it, else a `RemoteTaskError` that tells of it."""
    try:
        pickle.loads(pickle.dumps(exc))  # noqa: S301 - our own bytes of a line before
    except Exception:  # noqa: BLE001 - a user's class may fail in any way
        module = type(exc).__module__
        name = f"{module}.{type(exc).__qualname__}"
        return RemoteTaskError(name, saferepr(exc), module=module)
    return exc


def _described(name: str, module: str | None, arguments: Any, serializer: str) -> dict[str, Any]:
    return {
        "exc_type": name,
        "exc_message": [_writable(argument, serializer) for argument in arguments],
        "exc_module": module,
    }


def _writable(argument: Any, serializer: str) -> Any:
    if argument is None or type(argument) in (str, int, bool):
        return argument
    try:
        encode(argument, serializer)
    except EngineError:
        return _bounded_repr(argument)
    return argument


def _bounded_repr(argument: Any) -> str:
    try:
        return repr(argument)[:_REPR_CHARS]
    except Exception as error:  # noqa: BLE001 - a user's __repr__ may raise anything
        return f"<{type(argument).__name__}: {type(error).__name__} in its repr>"


def _arguments(message: Any) -> tuple[Any, ...]:
    if isinstance(message, list | tuple):
        return tuple(message)
    return () if message is None or message == "" else (message,)


def _exception_class(module_name: str | None, qualified_name: str) -> type[Exception] | None:
    """Return the loaded class of that name if it is an Exception, else None."""
    if len(qualified_name) > _NAME_CHARS:
        return None
    if module_name in _CELERY_HOMES:
        ours = vars(exceptions).get(qualified_name)
        if _is_exception(ours) and ours.__module__ == _OURS:
            return _checked(ours)
    found: Any = builtins if module_name == "builtins" else sys.modules.get(module_name or "")
    for name in qualified_name.split("."):
        found = _attribute(found, name)
    return _checked(found)


def _attribute(owner: Any, name: str) -> Any:
    """Return what `owner`'s own dictionary holds: no `__getattr__`, no descriptor, no import."""
    if issubclass(type(owner), ModuleType):
        return object.__getattribute__(owner, "__dict__").get(name)
    if _is_exception(owner):
        return type.__getattribute__(owner, "__dict__").get(name)
    return None


def _checked(candidate: Any) -> type[Exception] | None:
    return candidate if _is_exception(candidate) else None


def _is_exception(candidate: Any) -> bool:
    return isinstance(candidate, type) and issubclass(candidate, Exception)
