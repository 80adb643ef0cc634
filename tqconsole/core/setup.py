"""How the console looks and what its keys are: `console.toml` beside the contexts' file.

    theme = "light"
    frames_per_s = 12

    [hidden_columns]
    tasks = ["queue", "wait"]

    [keys]
    "tasks.rerun" = "T"
    "list.filter" = ["slash", "f7"]

What the Setup screen changes is written here; a comment written by hand is lost then. Keys are
named by the ids of docs/console.md; `check_keys` says what cannot be.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from platformdirs import user_config_path

from tqconsole.core.errors import SetupError
from tqconsole.core.keymap import HARMLESS_UPPERCASE, KEYMAP, KeyBinding, is_uppercase_letter

#: Frames a second that can be chosen: a slow line, an idle glance, the usual, a local terminal.
FRAME_RATES = (1, 2, 4, 8, 12, 15, 20)
FRAMES_PER_S = 12
#: A key as the terminal library names it: one sign, or words with modifiers before them.
#: What a filter may be called: one word of the filter language.
FILTER_NAME = re.compile(r"[\w-]+")
_KEY = re.compile(r"\S|(?:(?:ctrl|alt|shift|super)\+)*(?:[a-z][a-z0-9_]*|\S)")


@dataclass(frozen=True, slots=True)
class Setup:
    """What was chosen. `theme` "" is the usual one; `keys`: binding id -> its keys."""

    theme: str = ""
    #: None: the usual, 12.
    frames_per_s: int | None = None
    #: Screen -> keys of the columns it does not show.
    hidden_columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    #: Filters kept by name, for every cluster; used as @name.
    filters: Mapping[str, str] = field(default_factory=dict)

    def keymap(self) -> tuple[KeyBinding, ...]:
        """Return the key table with these keys."""
        return tuple(
            replace(entry, keys=self.keys.get(entry.binding_id, entry.keys)) for entry in KEYMAP
        )

    def with_hidden(self, screen: str, columns: Iterable[str]) -> Setup:
        """Return a setup in which a screen does not show these columns."""
        return replace(self, hidden_columns={**self.hidden_columns, screen: tuple(sorted(columns))})


def setup_path() -> Path:
    """Return where the file stands, whether or not it exists."""
    return user_config_path("tqconsole") / "console.toml"


def load_setup(path: Path | None = None) -> Setup:
    """Return what the file says; no file means the usual. Raises: SetupError."""
    path = setup_path() if path is None else path
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Setup()
    except (OSError, UnicodeDecodeError) as error:
        raise SetupError(f"{path} cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise SetupError(f"{path} is no TOML: {error}") from error
    try:
        return _setup(document)
    except SetupError as error:
        raise SetupError(f"{path}: {error}") from error


def save_setup(setup: Setup, path: Path | None = None) -> Path:
    """Write the file anew, whole or not at all; returns where. Raises: OSError."""
    path = setup_path() if path is None else path
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_suffix(f".{os.getpid()}")
    half.write_text(_document(setup), encoding="utf-8")
    half.replace(path)
    return path


def check_keys(keys: Mapping[str, Sequence[str]]) -> None:
    """Raise SetupError for an unknown id, a key that is none, a clash, or upper case broken."""
    known = {entry.binding_id: entry for entry in KEYMAP}
    for binding_id, wanted in keys.items():
        if binding_id not in known:
            near = difflib.get_close_matches(binding_id, known, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ", docs/console.md lists them"
            raise SetupError(f"keys: nothing is called {binding_id!r}{hint}")
        for key in wanted:
            _check_key(known[binding_id], key)
    _check_clashes(Setup(keys={name: tuple(wanted) for name, wanted in keys.items()}).keymap())


def _check_key(entry: KeyBinding, key: str) -> None:
    where = f"keys.{entry.binding_id}"
    if not _KEY.fullmatch(key):
        raise SetupError(f"{where}: {key!r} is no key; write it as r, R, f7, ctrl+r or slash")
    if entry.does_change and not (is_uppercase_letter(key) and key not in HARMLESS_UPPERCASE):
        raise SetupError(
            f"{where}: {key!r} would change the cluster; only an uppercase letter may,"
            f" and not {', '.join(sorted(HARMLESS_UPPERCASE))}"
        )
    if not entry.does_change and is_uppercase_letter(key) and key not in HARMLESS_UPPERCASE:
        raise SetupError(
            f"{where}: {key!r} is an uppercase letter, and those are for what changes the cluster"
        )


def _check_clashes(keymap: Sequence[KeyBinding]) -> None:
    """A key may mean two things only where it does so in the built-in table, too."""
    built_in = _pairs(KEYMAP)
    for (first, second), key in sorted(_pairs(keymap).items()):
        if (first, second) not in built_in:
            raise SetupError(f"keys: {key!r} would mean {first} and {second}; give one another key")


def _pairs(keymap: Sequence[KeyBinding]) -> dict[tuple[str, str], str]:
    """Return the pairs of bindings that share a key on some screen."""
    by_key: dict[str, list[KeyBinding]] = {}
    for entry in keymap:
        for key in entry.keys:
            by_key.setdefault(key, []).append(entry)
    return {
        (one.binding_id, other.binding_id): key
        for key, entries in by_key.items()
        for index, one in enumerate(entries)
        for other in entries[index + 1 :]
        if one.screen == other.screen or {"global", "list", "tabs"} & {one.screen, other.screen}
    }


def _setup(document: Mapping[str, Any]) -> Setup:
    for name in document:
        if name not in _READERS:
            near = difflib.get_close_matches(name, _READERS, 1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(_READERS)}"
            raise SetupError(f"there is no setting {name!r}{hint}")
    read: dict[str, Any] = {name: _READERS[name](value) for name, value in document.items()}
    return Setup(**read)


def _theme(value: object) -> str:
    if not isinstance(value, str):
        raise SetupError("theme must be a text")
    return value


def _rate(value: object) -> int:
    if value not in FRAME_RATES or isinstance(value, bool | float):
        raise SetupError(f"frames_per_s must be one of {', '.join(map(str, FRAME_RATES))}")
    return int(str(value))


def _lists(value: object, where: str) -> dict[str, tuple[str, ...]]:
    if not isinstance(value, dict):
        raise SetupError(f"{where} must be a table")
    found: dict[str, tuple[str, ...]] = {}
    for name, texts in value.items():
        texts = [texts] if isinstance(texts, str) else texts
        if not (isinstance(texts, list) and all(isinstance(text, str) for text in texts)):
            raise SetupError(f"{where}.{name} must be a text or a list of texts")
        found[name] = tuple(texts)
    return found


def _keys(value: object) -> dict[str, tuple[str, ...]]:
    keys = _lists(value, "keys")
    for name, wanted in keys.items():
        if not wanted:
            raise SetupError(f"keys.{name} wants a key")
    check_keys(keys)
    return keys


def _filters(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise SetupError("filters must be a table")
    for name, text in value.items():
        if not isinstance(text, str):
            raise SetupError(f"filters.{name} must be a text")
        if not FILTER_NAME.fullmatch(name):
            raise SetupError(f"filters: {name!r} is no name; letters, digits, - and _ are")
    return dict(value)


_READERS: dict[str, Callable[[object], Any]] = {
    "theme": _theme,
    "frames_per_s": _rate,
    "hidden_columns": lambda value: _lists(value, "hidden_columns"),
    "keys": _keys,
    "filters": _filters,
}


def _document(setup: Setup) -> str:
    """Return the file's text. JSON's strings and lists of them are TOML's, too."""
    lines = []
    if setup.theme:
        lines.append(f"theme = {json.dumps(setup.theme)}")
    if setup.frames_per_s is not None:
        lines.append(f"frames_per_s = {setup.frames_per_s}")
    for table, entries in (("hidden_columns", setup.hidden_columns), ("keys", setup.keys)):
        kept = {name: texts for name, texts in entries.items() if texts}
        if kept:
            lines += ["", f"[{table}]"]
        lines += [f"{json.dumps(name)} = {json.dumps(list(texts))}" for name, texts in kept.items()]
    if setup.filters:
        lines += ["", "[filters]"]
        lines += [f"{json.dumps(name)} = {json.dumps(it)}" for name, it in setup.filters.items()]
    return "\n".join([*lines, ""])
