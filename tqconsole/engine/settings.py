"""An app's configuration: layers of settings under Celery's names, old and new, and who wins.

From the strongest: what the command line says (`override`), the environment, what the program set
(`conf.x = ...`, `update`, `App(...)`), the configuration source, defaults that were added, the
table's defaults. The source is read at the first look, so that making an app costs nothing and a
module may configure it after its tasks are declared. Names that are not known are kept: other
packages have settings too.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from datetime import timedelta
from types import ModuleType
from typing import Any

from tqconsole.engine.exceptions import ImproperlyConfigured
from tqconsole.engine.fork_locks import give_lock
from tqconsole.engine.settings_own import KNOWN_SETTINGS
from tqconsole.engine.settings_table import OLD_NAMES, SETTINGS

#: Setting -> environment variables that win over the program's value; the first that is set.
ENVIRONMENT = {
    "broker_url": ("TQCONSOLE_BROKER", "CELERY_BROKER_URL"),
    "broker_read_url": ("CELERY_BROKER_READ_URL",),
    "broker_write_url": ("CELERY_BROKER_WRITE_URL",),
    "result_backend": ("CELERY_RESULT_BACKEND",),
}

#: Setting -> the setting it follows while nobody set it.
_FOLLOWS = {
    "broker_read_url": "broker_url",
    "broker_write_url": "broker_url",
    "task_default_exchange": "task_default_queue",
    "task_default_routing_key": "task_default_queue",
}

#: Names whose values are secrets, and names that only sound like it.
_SECRET = re.compile(r"API|TOKEN|KEY|SECRET|PASS|SIGNATURE|DATABASE", re.IGNORECASE)
_HARMLESS = frozenset({"task_default_routing_key"})
_PASSWORD_IN_URL = re.compile(r"(?P<head>[a-z0-9+]+://[^:@/\s]*:)[^@/\s]+@", re.IGNORECASE)
MASK = "********"

_ABSENT = object()


class Settings(MutableMapping[str, Any]):
    """Settings by attribute or item, by new or old name.

    `load` returns the configuration source's settings, already under new names; it runs at the
    first look, and `after_load` behind it. Setting a value never reads the source. `version` grows
    with every change, so that readers on a hot path can keep what they have worked out.
    """

    version: int
    #: Old names that the configuration source has, sorted.
    old_names: tuple[str, ...]

    def __init__(
        self,
        changes: Mapping[str, Any] | None = None,
        load: Callable[[], Mapping[str, Any]] | None = None,
        after_load: Callable[[], None] | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        fields = self.__dict__
        fields["_overrides"] = {}
        fields["_changes"] = {}
        fields["_source"] = {}
        fields["_added"] = {}
        fields["_own_defaults"] = {}
        give_lock(self, "_lock")
        fields["_is_loading"] = False
        fields["_load"] = load
        fields["_after_load"] = after_load
        fields["version"] = 0
        # What was looked up since the last change; replaced with every change, never emptied, so
        # that a late writer fills one that nobody reads any more.
        fields["_looked_up"] = {}
        fields["old_names"] = ()
        fields["_environ"] = os.environ if environ is None else environ
        self.update(changes or {})

    @property
    def is_loaded(self) -> bool:
        """False while the configuration source waits for its first reader."""
        return self._load is None

    @property
    def changes(self) -> dict[str, Any]:
        """What the program itself set."""
        return self._changes  # type: ignore[no-any-return]  # attributes are settings here

    def reload(self, load: Callable[[], Mapping[str, Any]]) -> None:
        """Replace the configuration source; it is read at the next look."""
        self.__dict__.update(_load=load, _source={})
        self._note_change()

    def override(self, settings: Mapping[str, Any] | None = None, **more: Any) -> None:
        """Set what the command line says: it wins over the environment too."""
        given = {**(settings or {}), **more}
        self._overrides.update({new_name(name): value for name, value in given.items()})
        self._note_change()

    def add_defaults(self, defaults: Any) -> None:
        """Take values for what nobody has set; a mapping or a function that makes one."""
        made = defaults() if callable(defaults) else defaults
        added = read_source(made)
        self.__dict__["_added"] = {**added, **self._added}
        self._note_change()

    def overridden(self, name: str) -> Any:
        """Return the command line's value, None when it said nothing."""
        return self._overrides.get(new_name(name))

    def configured(self, name: str) -> Any:
        """Return what program or source say, without environment and defaults; None: nothing."""
        self._read()
        for layer in (self._changes, self._source, self._added):
            if name in layer:
                return layer[name]
        return None

    def seconds(self, name: str) -> float | None:
        """Return a duration as float seconds; None for none and, as Celery has it, for 0."""
        value = self[name]
        if isinstance(value, timedelta):
            value = value.total_seconds()
        return float(value) if value else None

    def first(self, *names: str) -> Any:
        """Return the first of these settings that is not None."""
        return next((value for value in map(self.get, names) if value is not None), None)

    def value_set_for(self, name: str) -> bool:
        """Return True when anybody set it: it does not rest on the table's default."""
        return self._find(new_name(name)) is not _ABSENT

    def without_defaults(self) -> dict[str, Any]:
        """Return what anybody has set, name -> value, sorted."""
        self._read()
        names = {*self._overrides, *self._changes, *self._source, *self._added}
        names.update(name for name in ENVIRONMENT if self._of_environment(name) is not _ABSENT)
        return {name: self[name] for name in sorted(names)}

    def table(self, with_defaults: bool = False, censored: bool = True) -> dict[str, Any]:
        """Return name -> value; what looks like a secret is masked."""
        shown = {name: self[name] for name in sorted(self)} if with_defaults else None
        found = self.without_defaults() if shown is None else shown
        return {name: censor(name, value) for name, value in found.items()} if censored else found

    def humanize(self, with_defaults: bool = False, censored: bool = True) -> str:
        """Return the table as text, a setting a line."""
        lines = self.table(with_defaults, censored).items()
        return "\n".join(f"{name}: {value!r}" for name, value in lines)

    def finalize(self) -> Settings:
        """Read the source now."""
        self._read()
        return self

    def _read(self) -> None:
        """Read the source if nobody has. Other threads wait for it, its own readers do not."""
        if self._load is None and not self._is_loading:
            return
        with self._lock:
            load = self._load
            if load is None:
                return
            self.__dict__.update(_load=None, _is_loading=True)
            try:
                source = load()
                self.__dict__.update(_source=dict(source), old_names=old_names_in(source))
                self._note_change()
                if self._after_load is not None:
                    self._after_load()
            except BaseException:
                self.__dict__["_load"] = load
                raise
            finally:
                self.__dict__["_is_loading"] = False

    def _note_change(self) -> None:
        self.__dict__.update(version=self.version + 1, _looked_up={})

    def _of_environment(self, name: str) -> Any:
        for variable in ENVIRONMENT.get(name, ()):
            if self._environ.get(variable):
                return self._environ[variable]
        return _ABSENT

    def _find(self, name: str) -> Any:
        self._read()
        if name in self._overrides:
            return self._overrides[name]
        from_environment = self._of_environment(name)
        if from_environment is not _ABSENT:
            return from_environment
        if name in self._changes:
            return self._changes[name]
        if name in self._source:
            return self._source[name]
        return self._added.get(name, _ABSENT)

    def __getitem__(self, name: str) -> Any:
        looked_up = self._looked_up
        value = looked_up.get(name, _ABSENT)
        if value is not _ABSENT:
            return value
        value = self._value(name)
        # While the source is read, settings are what they are for its own readers only.
        if not self._is_loading and OLD_NAMES.get(name, name) not in ENVIRONMENT:
            looked_up[name] = value
        return value

    def _value(self, name: str) -> Any:
        wanted = OLD_NAMES.get(name, name)
        value = self._find(wanted)
        if wanted in _FOLLOWS and (value is _ABSENT or value is None):
            return self[_FOLLOWS[wanted]]
        if value is _ABSENT:
            setting = KNOWN_SETTINGS.get(wanted)
            if setting is None:
                raise KeyError(name)
            value = setting.default
            if isinstance(value, dict):
                # A default that is changed in place belongs to this app alone.
                value = self._own_defaults.setdefault(wanted, dict(value))
        return value

    def __setitem__(self, name: str, value: Any) -> None:
        self._changes[new_name(name)] = value
        self._note_change()

    def __delitem__(self, name: str) -> None:
        del self._changes[new_name(name)]
        self._note_change()

    def __iter__(self) -> Iterator[str]:
        self._read()
        yield from dict.fromkeys([*KNOWN_SETTINGS, *self._added, *self._source, *self._changes])

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and (
            new_name(name) in KNOWN_SETTINGS or self._find(new_name(name)) is not _ABSENT
        )

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"no setting is called {name!r}") from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __repr__(self) -> str:
        return f"<Settings: {self.table() if self.is_loaded else 'not read yet'}>"


def new_name(name: str) -> str:
    """Return the present name of a setting, given that or its old one."""
    return OLD_NAMES.get(name, name)


def read_source(source: Any, namespace: str | None = None) -> dict[str, Any]:
    """Return the settings of a module, class, object or mapping under their new names.

    With a namespace only `NAMESPACE_TASK_...` keys count. Without one the names may be all new or
    all old; both of one setting may be there, then the majority's kind counts.
    Raises: ImproperlyConfigured when kinds are mixed; the text lists what to rename.
    """
    named = _mapping_of(source)
    if namespace:
        return _of_namespace(named, namespace)
    old = {name for name in named if name in OLD_NAMES}
    new = {name for name in named if name in SETTINGS}
    if old and new:
        named = _of_one_kind(named, old, new)
    read = _ReadSource({new_name(name): value for name, value in named.items()})
    read.old_names = tuple(sorted(old))
    return read


class _ReadSource(dict[str, Any]):
    """Settings under their new names, and what of them was written in old ones."""

    old_names: tuple[str, ...] = ()


def old_names_in(source: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the old names that what `read_source` returned was written in."""
    return source.old_names if isinstance(source, _ReadSource) else ()


def censor(name: str, value: Any) -> Any:
    """Return `value`, masked where it is or holds a secret."""
    if isinstance(value, Mapping):
        return {key: censor(str(key), part) for key, part in value.items()}
    if name not in _HARMLESS and _SECRET.search(name):
        return MASK if value else value
    if isinstance(value, str):
        return _PASSWORD_IN_URL.sub(r"\g<head>**@", value)
    return value


def _mapping_of(source: Any) -> dict[str, Any]:
    if isinstance(source, Mapping):
        return dict(source)
    names = [name for name in dir(source) if not name.startswith("_")]
    pairs = ((name, getattr(source, name)) for name in names)
    return {name: value for name, value in pairs if not isinstance(value, ModuleType)}


def _of_namespace(named: Mapping[str, Any], namespace: str) -> dict[str, Any]:
    prefix = namespace if namespace.endswith("_") else f"{namespace}_"
    found = {}
    for name, value in named.items():
        if name.startswith(prefix):
            found[name.removeprefix(prefix).lower()] = value
    return found


def _of_one_kind(named: Mapping[str, Any], old: set[str], new: set[str]) -> dict[str, Any]:
    """Drop the minority's names where the majority has them too; refuse where it has not."""
    if len(old) > len(new):
        minority = {name: SETTINGS[name].old_name for name in new}
    else:
        minority = {name: OLD_NAMES[name] for name in old}
    renames = {name: better for name, better in sorted(minority.items()) if better not in named}
    if renames:
        steps = "\n".join(f"{name:<36} -> {better}" for name, better in renames.items())
        kinds = "new names among old ones" if len(old) > len(new) else "old names among new ones"
        raise ImproperlyConfigured(f"The configuration has {kinds}. Rename:\n\n{steps}")
    return {name: value for name, value in named.items() if name not in minority}
