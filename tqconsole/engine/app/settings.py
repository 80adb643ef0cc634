"""The app's side of its configuration: where it comes from and what the engine reads out of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, tzinfo
from typing import Any, NamedTuple

from tqconsole.engine import signals
from tqconsole.engine.app.config import (
    Discovery,
    discover,
    import_all,
    load_settings,
    named_by_environment,
    sources_of,
    zone_of,
)
from tqconsole.engine.clock import Clock
from tqconsole.engine.settings import Settings


class _Reading(NamedTuple):
    """Content types as the settings have them, at one version of theirs."""

    version: int
    accept: frozenset[str]
    result_accept: frozenset[str]
    result_type: str


class Configured:
    """The part of an app that has settings."""

    conf: Settings
    namespace: str | None
    on_after_configure: signals.Signal
    on_configure: signals.Signal
    wall_clock: Clock
    _config_source: Any
    _discovery: Discovery
    _zone: tuple[int, tzinfo] | None
    _known_reading: _Reading | None = None

    def config_from_object(
        self, obj: Any, silent: bool = False, force: bool = False, namespace: str | None = None
    ) -> None:
        """Take the configuration from a module's name, "module:attribute", object or mapping.

        It is read at the first look at `conf`, with `force` now. The last call wins.
        Raises (then): ImproperlyConfigured when it cannot be found, unless `silent`.
        """
        self.namespace = namespace or self.namespace
        self._config_source = obj
        self.conf.reload(self._loader(obj, is_silent=silent))
        if force:
            self.conf.finalize()

    def config_from_envvar(
        self, variable_name: str, silent: bool = False, force: bool = False
    ) -> bool:
        """Take the configuration from the module that an environment variable names.

        Raises: ImproperlyConfigured when it is not set, unless `silent`; then it returns False.
        """
        module_name = named_by_environment(variable_name, is_silent=silent)
        if module_name is None:
            return False
        self.config_from_object(module_name, silent=silent, force=force)
        return True

    def add_defaults(self, defaults: Any) -> None:
        """Take values for settings that nobody has set: a mapping or a function making one."""
        self.conf.add_defaults(defaults)

    def autodiscover_tasks(
        self,
        packages: Any = None,
        related_name: str | None = "tasks",
        force: bool = False,
    ) -> None:
        """Import `package.tasks` of each package before work begins (with `force` now)."""
        if force:
            discover(packages, related_name)
        else:
            self._discovery.add(packages, related_name)

    def import_modules(self) -> None:
        """Import everything that is listed or to be discovered. Raises what importing raises."""
        signals.import_modules.send(sender=self)
        import_all(sources_of(self.conf))
        self._discovery.run()

    @property
    def timezone(self) -> tzinfo:
        """The zone of naive instants. Raises: ImproperlyConfigured."""
        version = self.conf.version
        if self._zone is None or self._zone[0] != version:
            zone = zone_of(self.conf.timezone, is_utc=self.conf.enable_utc)
            self._zone = (self.conf.version, zone)
        return self._zone[1]

    def now(self) -> datetime:
        """Return this instant in the app's zone."""
        return datetime.fromtimestamp(self.wall_clock.now(), self.timezone)

    @property
    def annotations(self) -> Any:
        """What `task_annotations` says."""
        return self.conf.task_annotations

    @property
    def accept_content(self) -> frozenset[str]:
        """Content types that are read from messages."""
        return self._reading().accept

    @property
    def result_accept(self) -> frozenset[str]:
        """Content types that are read from the result store."""
        return self._reading().result_accept

    @property
    def result_content_type(self) -> str:
        """Content type of the records this app writes."""
        return self._reading().result_type

    def _reading(self) -> _Reading:
        """Return what the settings say of content types; looked up at each change of theirs."""
        known, conf = self._known_reading, self.conf
        if known is None or known.version != conf.version:
            accept = _content_types(conf.accept_content)
            named = conf.result_accept_content
            known = self._known_reading = _Reading(
                accept=accept,
                result_accept=accept if named is None else _content_types(named),
                result_type=next(iter(_content_types([conf.result_serializer]))),
                # Last: looking may read the configuration, which is a change.
                version=conf.version,
            )
        return known

    def add_periodic_task(
        self,
        schedule: Any,
        sig: Any,
        args: Any = (),
        kwargs: Any = (),
        name: str | None = None,
        **options: Any,
    ) -> str:
        """Add an entry to `beat_schedule` and return its name: `name`, or the call as text."""
        key = name or repr(sig)
        call = sig.clone(args, dict(kwargs or {}))
        schedules = dict(self.conf.beat_schedule)
        schedules[key] = {
            "schedule": schedule,
            "task": call.task,
            "args": call.args,
            "kwargs": call.kwargs,
            "options": {**call.options, **options},
        }
        self.conf.beat_schedule = schedules
        return key

    def _loader(self, source: Any, *, is_silent: bool) -> Callable[[], Mapping[str, Any]]:
        def load() -> Mapping[str, Any]:
            self.on_configure.send(sender=self)
            return load_settings(source, self.namespace, is_silent=is_silent)

        return load

    def _after_configure(self) -> None:
        self.on_after_configure.send(sender=self, source=self.conf)

    def _set_given(self, name: str, value: Any) -> None:
        if value is not None:
            self.conf[name] = value


def _content_types(names: Iterable[str]) -> frozenset[str]:
    from tqconsole.engine.serialization import content_types  # noqa: PLC0415 - loads the codec

    return content_types(names)
