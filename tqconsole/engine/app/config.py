"""Where an app's configuration comes from: objects, modules, the environment; and what is imported
before a worker starts.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tqconsole.engine.exceptions import ImproperlyConfigured
from tqconsole.engine.settings import read_source

#: Names the configuration module where nothing else does (Celery's).
CONFIG_VARIABLE = "CELERY_CONFIG_MODULE"
#: Module the default app reads when it exists (Celery's).
DEFAULT_MODULE = "celeryconfig"


def load_settings(source: Any, namespace: str | None, *, is_silent: bool) -> dict[str, Any]:
    """Return the settings of a module's name, "module:attribute", an object or a mapping.

    Raises: ImproperlyConfigured when it cannot be found (unless `is_silent`) or mixes old and new
    names; errors inside the module pass through.
    """
    if source is None:
        module_name = os.environ.get(CONFIG_VARIABLE)
        return read_source(_module(module_name, is_silent=False)) if module_name else {}
    found = _object(source, is_silent=is_silent) if isinstance(source, str) else source
    return {} if found is None else read_source(found, namespace)


def named_by_environment(variable: str, *, is_silent: bool) -> str | None:
    """Return the module that an environment variable names.

    Raises: ImproperlyConfigured when it names none, unless `is_silent`.
    """
    module_name = os.environ.get(variable)
    if not module_name and not is_silent:
        raise ImproperlyConfigured(
            f"The environment variable {variable} names no configuration module: it is not set"
        )
    return module_name or None


def default_module() -> str | None:
    """Return the module that an app nobody configured reads: the variable's, or celeryconfig."""
    named = os.environ.get(CONFIG_VARIABLE)
    if named:
        return named
    with_cwd_on_path()
    return DEFAULT_MODULE if importlib.util.find_spec(DEFAULT_MODULE) else None


def with_cwd_on_path() -> None:
    """Let modules of the working directory be imported, as `python -m` does."""
    folder = str(Path.cwd())
    if folder not in sys.path and "" not in sys.path:
        sys.path.insert(0, folder)


def configured_broker_url(conf: Any) -> str | None:
    """Return the broker's URL as program or source gave it, also in Celery's separate parts."""
    url = conf.configured("broker_url")
    if isinstance(url, list | tuple):
        url = ";".join(url)
    if url:
        return str(url) if "://" in url or ":" in url else f"{url}://"
    host = conf.configured("broker_host")
    if not host:
        transport = conf.configured("broker_transport")
        return f"{transport}://" if transport else None
    user, password = conf.configured("broker_user"), conf.configured("broker_password")
    login = quote(user, safe="") if user else ""
    if password:
        login += f":{quote(password, safe='')}"
    port = conf.configured("broker_port")
    address = f"{login}@{host}" if login else str(host)
    if port:
        address += f":{port}"
    virtual_host = quote(str(conf.configured("broker_vhost") or ""), safe="")
    return f"{conf.configured('broker_transport') or 'amqp'}://{address}/{virtual_host}"


def zone_of(name: Any, *, is_utc: bool) -> tzinfo:
    """Return the zone in which an app reads naive instants. Raises: ImproperlyConfigured."""
    if isinstance(name, tzinfo):
        return name
    if not name:
        local = datetime.now(UTC).astimezone().tzinfo
        return UTC if is_utc or local is None else local
    if str(name).upper() == "UTC":
        return UTC
    try:
        return ZoneInfo(str(name))
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ImproperlyConfigured(f"timezone: there is no zone {name!r}") from error


class Discovery:
    """Modules to import before work begins: listed ones, and those found in packages."""

    def __init__(self) -> None:
        self._searches: list[tuple[Any, str | None]] = []

    def add(self, packages: Any, related_name: str | None) -> None:
        """Search these packages (a list or a function that makes one) at `run`."""
        self._searches.append((packages, related_name))

    def run(self) -> list[str]:
        """Import what the searches find and return the names. Errors inside modules pass."""
        found = []
        for packages, related_name in self._searches:
            found += discover(packages, related_name)
        return found


def discover(packages: Any, related_name: str | None) -> list[str]:
    """Import `package.related_name` (None: the package itself) where there is one."""
    names: Iterable[str] = packages() if callable(packages) else packages or ()
    imported = (_related_module(name, related_name) for name in names)
    return [name for name in imported if name is not None]


def import_all(module_names: Iterable[str]) -> None:
    """Import modules in order. Raises what importing raises: a worker must not start without."""
    for name in dict.fromkeys(module_names):
        importlib.import_module(name)


def listed(value: Any) -> tuple[str, ...]:
    """Return a setting that is one name or many as a tuple."""
    if not value:
        return ()
    return (value,) if isinstance(value, str) else tuple(value)


def sources_of(conf: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the modules that `imports` and `include` list."""
    return (*listed(conf["imports"]), *listed(conf["include"]))


def _related_module(package: str, related_name: str | None) -> str | None:
    name = _existing_package(package)
    if not related_name:
        return name
    wanted = f"{name}.{related_name}"
    try:
        importlib.import_module(wanted)
    except ModuleNotFoundError as error:
        if error.name != wanted:
            raise
        return None
    return wanted


def _existing_package(name: str) -> str:
    """Import a package and return its name; of "package.apps.SomeConfig" the nearest above."""
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        parent = name.rpartition(".")[0]
        if not parent or not name.startswith(error.name or "\0"):
            raise
        return _existing_package(parent)
    return name


def _object(path: str, *, is_silent: bool) -> Any:
    module_name, _, attribute = path.partition(":")
    found = _module(module_name, is_silent=is_silent, path=path)
    if found is None or not attribute:
        return found
    try:
        for part in attribute.split("."):
            found = getattr(found, part)
    except AttributeError as error:
        raise ImproperlyConfigured(f"Configuration {path!r}: {error}") from error
    return found


def _module(name: str, *, is_silent: bool, path: str | None = None) -> Any:
    with_cwd_on_path()
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not (name == error.name or name.startswith(f"{error.name}.")):
            # The module exists; something that it needs does not.
            raise
        found = _attribute_path(name)
        if found is not None:
            return found
        if is_silent:
            return None
        raise ImproperlyConfigured(
            f"The configuration module {path or name!r} cannot be imported: {error}"
        ) from error


def _attribute_path(name: str) -> Any:
    """Return the object of "module.attribute", None where there is none."""
    module_name, _, attribute = name.rpartition(".")
    if not module_name:
        return None
    try:
        return getattr(importlib.import_module(module_name), attribute, None)
    except ModuleNotFoundError:
        return None
