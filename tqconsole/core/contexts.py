"""Named clusters, from `contexts.toml` in the user's configuration folder.

    current = "staging"

    [contexts.prod]
    broker = "redis://prod.example:6379/0"
    backend = "redis://prod.example:6379/1"
    read_only = true
    color = "red"
    history = false

`history = false` keeps nothing of a cluster's tasks on the disk. A context with prod, production or
live as a word of its name (prod, shop-prod, live.eu) is read-only, and red, unless it says
otherwise. The file is written by hand and only read here; it may hold passwords, so errors never
quote a value.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from platformdirs import user_config_path

from tqconsole.core.errors import ContextError

#: Words whose contexts are read-only by default.
PROTECTED_WORDS = frozenset({"prod", "production", "live"})
#: Colours a context can have by name; any other one as #rrggbb.
COLORS = {
    "red": "#c4314b",
    "orange": "#c45c12",
    "yellow": "#b58a00",
    "green": "#2e8b45",
    "cyan": "#128a94",
    "blue": "#2f6fd0",
    "purple": "#8a4fbe",
    "gray": "#6b7480",
}
PROTECTED_COLOR = COLORS["red"]
_HEX_COLOR = re.compile(r"#[0-9a-f]{6}", re.IGNORECASE)
_KEYS = {
    "broker": str,
    "backend": str,
    "app": str,
    "read_only": bool,
    "color": str,
    "filters": dict,
    "history": bool,
}


@dataclass(frozen=True, slots=True)
class Context:
    """One cluster. What is "" was not given; `color` is #rrggbb; `filters` are saved by name."""

    name: str
    broker: str
    backend: str = ""
    app: str = ""
    is_read_only: bool = False
    filters: tuple[tuple[str, str], ...] = ()
    #: False: the console keeps nothing of this cluster on the disk.
    has_history: bool = True
    color: str = ""


@dataclass(frozen=True, slots=True)
class Contexts:
    """All contexts of the file, in its order, and which one is current ("" for none)."""

    by_name: Mapping[str, Context]
    current_name: str = ""

    @property
    def current(self) -> Context | None:
        """The current context, None when the file names none."""
        return self.by_name.get(self.current_name)

    def get(self, name: str) -> Context:
        """Return a context. Raises: ContextError naming those there are."""
        if name in self.by_name:
            return self.by_name[name]
        known = ", ".join(self.by_name) or "none"
        raise ContextError(f"no context is called {name!r}; there are: {known}")


def contexts_path() -> Path:
    """Return where the file stands, whether or not it exists."""
    return user_config_path("tqconsole") / "contexts.toml"


def load_contexts(path: Path | None = None) -> Contexts:
    """Return what the file says; no file means no contexts.

    Raises: ContextError with file and field when it cannot be read or says nonsense.
    """
    path = contexts_path() if path is None else path
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Contexts({})
    except (OSError, UnicodeDecodeError) as error:
        raise ContextError(f"{path} cannot be read: {error}") from error
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ContextError(f"{path} is no TOML: {error}") from error
    return _contexts(document, path)


def _contexts(document: Mapping[str, Any], path: Path) -> Contexts:
    tables = document.get("contexts", {})
    if not isinstance(tables, dict):
        raise ContextError(f"{path}: contexts must be tables, as [contexts.prod]")
    unknown = sorted(set(document) - {"contexts", "current"})
    if unknown:
        raise ContextError(f"{path}: there is no setting {unknown[0]!r}")
    by_name = {name: _context(name, table, path) for name, table in tables.items()}
    current_name = document.get("current", "")
    if current_name and current_name not in by_name:
        raise ContextError(f"{path}: current names {current_name!r}, which is not among them")
    return Contexts(by_name, current_name)


def _context(name: str, table: object, path: Path) -> Context:
    where = f"{path}: contexts.{name}"
    if not isinstance(table, dict):
        raise ContextError(f"{where} must be a table")
    for key, value in table.items():
        if key not in _KEYS:
            raise ContextError(f"{where}: there is no setting {key!r}; {', '.join(_KEYS)}")
        if not isinstance(value, _KEYS[key]):
            raise ContextError(f"{where}.{key} must be of type {_KEYS[key].__name__}")
    if not table.get("broker") and not table.get("app"):
        raise ContextError(f"{where} wants a broker or an app")
    filters = table.get("filters", {})
    if not all(isinstance(text, str) for text in filters.values()):
        raise ContextError(f"{where}.filters must be texts")
    is_protected = is_protected_name(name)
    default_color = PROTECTED_COLOR if is_protected else ""
    return Context(
        name=name,
        broker=table.get("broker", ""),
        backend=table.get("backend", ""),
        app=table.get("app", ""),
        is_read_only=table.get("read_only", is_protected),
        filters=tuple(filters.items()),
        has_history=table.get("history", True),
        color=_color(table["color"], where) if "color" in table else default_color,
    )


def is_protected_name(name: str) -> bool:
    """True when a word of the name says that real work is done there."""
    return not PROTECTED_WORDS.isdisjoint(re.split(r"[^a-z]+", name.lower()))


def _color(text: str, where: str) -> str:
    color = COLORS.get(text.lower(), text)
    if not _HEX_COLOR.fullmatch(color):
        raise ContextError(f"{where}.color must be {', '.join(COLORS)}, or like #c4314b")
    return color.lower()
