"""One run of the command line: the global options as they were given, and the app they mean.

Global options may stand before the verb, as in Celery, and after it; the later wins. The app and
its broker are opened when a verb asks for them, so that `--help` touches nothing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tqconsole.cli.loading import AppError, importing_app, load_app
from tqconsole.cli.output import Output
from tqconsole.engine.brokers.resolution import (
    APP_VARIABLES,
    BROKER_VARIABLES,
    known_workers,
    project_table,
)
from tqconsole.engine.embedded.location import locate
from tqconsole.engine.exceptions import BrokerUnreachableError, ImproperlyConfigured

if TYPE_CHECKING:
    from tqconsole.cli.celery_app import CeleryReader
    from tqconsole.core.contexts import Context
    from tqconsole.engine.app import App

#: Celery's own loaders, which do what is done here anyway.
_LOADERS = ("app", "default", "celery.loaders.app:AppLoader", "celery.loaders.default:Loader")
#: Names the context where no option does.
CONTEXT_VARIABLE = "TQCONSOLE_CONTEXT"


@dataclass(frozen=True, slots=True)
class GlobalOptions:
    """What holds for every verb. None and False: not given."""

    app: str | None = None
    broker: str | None = None
    result_backend: str | None = None
    config: str | None = None
    workdir: Path | None = None
    no_color: bool = False
    quiet: bool = False
    json: bool = False
    context: str | None = None
    loader: str | None = None
    skip_checks: bool = False

    def updated(self, given: Mapping[str, Any]) -> GlobalOptions:
        """Return these options with what was given later. Raises: UsageError for an empty one.

        An empty word is most often an unset variable of the shell's.
        """
        empty = [name for name, value in given.items() if value == ""]
        if empty:
            raise click.UsageError(
                f"--{empty[0].replace('_', '-')} is empty: leave it out or name it"
            )
        return replace(self, **{name: value for name, value in given.items() if value})


#: The names under which verbs receive them and must not keep them.
GLOBAL_NAMES = tuple(field.name for field in fields(GlobalOptions))


class Invocation:
    """The state of one run. Verbs get it as their first argument."""

    def __init__(self, app: App | None = None, words: Sequence[str] = ()) -> None:
        self.options = GlobalOptions()
        #: The command line, as it was given.
        self.words = tuple(words)
        self._app: App | None = app
        #: Reads the app that was named where that is one of Celery's own.
        self.celery: CeleryReader | None = None
        #: A program runs this with an app of its own: both live in one process.
        self._is_given = app is not None
        #: False while the app is only a plain one of ours.
        self._is_app_found = app is not None
        self._is_prepared = False
        self._context: Context | None = None
        self._is_context_read = False

    def take(self, given: Mapping[str, Any]) -> None:
        """Take over global options as they are read, from left to right."""
        self.options = self.options.updated(given)

    def prepare(self) -> None:
        """Let the options take effect that must before anything is imported. Once."""
        if self._is_prepared:
            return
        self._is_prepared = True
        options = self.options
        if options.workdir is not None:
            try:
                os.chdir(options.workdir)
            except OSError as error:
                raise click.UsageError(f"--workdir {options.workdir}: {error.strerror}") from error
        if options.loader and options.loader not in _LOADERS:
            raise click.UsageError(
                f"--loader {options.loader}: there are no loaders here; what one does belongs into"
                " the app's module, where signals and config_from_object reach all of it"
            )
        if options.config:
            os.environ["CELERY_CONFIG_MODULE"] = options.config

    @property
    def is_given(self) -> bool:
        """True when a program runs this with an app of its own."""
        return self._is_given

    @property
    def output(self) -> Output:
        """Where this run prints."""
        options = self.options
        return Output(is_quiet=options.quiet, is_json=options.json, has_color=not options.no_color)

    @property
    def has_app(self) -> bool:
        """True when somebody named an app."""
        return self._is_app_found or self._app_path() is not None

    @property
    def context(self) -> Context | None:
        """The context that was asked for, or the file's current one where nothing was named.

        Raises: ContextError when the file is wrong or knows no such context.
        """
        if not self._is_context_read:
            self._context = self._find_context()
            self._is_context_read = True
        return self._context

    @property
    def reason(self) -> str:
        """Why the broker is the one it is."""
        resolved = self.app().broker_resolved
        return self._context_reason() or resolved.reason

    def reached_by(self) -> tuple[str, ...]:
        """Return the options given here that lead another command to the same cluster.

        The broker's password stays out of sight, so it has to be put in again.
        """
        options = self.options
        given = {
            "--workdir": options.workdir,
            "--config": options.config,
            "-A": options.app,
            "--context": options.context,
            "-b": self.app().broker.url if options.broker else None,
        }
        return tuple(word for name, value in given.items() if value for word in (name, str(value)))

    def require_writable(self) -> None:
        """Raises: UsageError when the context is read-only."""
        context = self.context
        if context is not None and context.is_read_only:
            raise click.UsageError(
                f"The context {context.name} is read-only; read_only = false in "
                "contexts.toml changes that."
            )

    def app(self) -> App:
        """Return the app of `-A`, the environment or pyproject.toml, else a plain one.

        Raises: ImproperlyConfigured when it cannot be found or read.
        """
        if self._app is None:
            self._app = self._load()
        return self._app

    def own_app(self) -> App:
        """Return the app, one that runs tasks. Raises: UsageError for one of Celery's own."""
        app = self.app()
        if self.celery is not None:
            raise click.UsageError(
                f"{self._app_path()} is an app of Celery's own: its tasks are run by `celery -A"
                f" {self._app_path()} worker`. A worker of ours wants an app made with"
                " tqconsole.engine, which has the same names (docs/features.md)"
            )
        return app

    def app_of(self, package: str) -> App:
        """Return the app; where none was named, that of `package` if it is one with an app."""
        if self._app is None and not self.has_app and _is_importable(package):
            self._app = self._configured_of(package)
            self._is_app_found = self._app is not None
        return self.app()

    def import_modules(self) -> None:
        """Import what the app lists, if one was named. Raises: AppError naming what failed."""
        if self.has_app:
            app = self.app()
            with importing_app(app.main or "the app"):
                (self.celery or app).import_modules()

    def cluster(self, *, needs_queue: bool = True) -> App:
        """Return the app, after saying on stderr which broker is meant and why.

        `needs_queue`: an embedded queue must be there, so that a verb that reads leaves no file
        behind where somebody mistyped a path.
        Raises: UsageError for a broker that would die with this command, BrokerUnreachableError.
        """
        app = self.app()
        if not (self._is_given or app.broker.capabilities.is_shared_between_processes):
            raise click.UsageError(
                f"{app.broker.url} lives inside one process: what this command does there dies"
                " with it. Name a broker that processes share, as sqlite:///path/queue.db"
            )
        self.output.note(f"broker: {app.broker.url} ({self.reason})")
        if needs_queue:
            self._require_queue(app.broker.url)
        return app

    def whereabouts(self) -> str:
        """Return a hint where workers live if none is on this broker, else ""."""
        here = self.app().broker_resolved.url
        others = [worker for worker in known_workers(os.environ) if worker.url != here]
        if not others:
            return ""
        return f"; {others[0].worker_name} is alive on {others[0].url} (use -b)"

    def _require_queue(self, url: str) -> None:
        """Raise BrokerUnreachableError where no embedded queue has been made yet."""
        if url.startswith("sqlite:"):
            path = locate(url).path
            if not Path(path).exists():
                raise BrokerUnreachableError(
                    f"There is no queue at {path}: no worker was started and nothing was sent there"
                    f"{self.whereabouts()}"
                )

    def _load(self) -> App:
        from tqconsole.engine.app import App  # noqa: PLC0415 - imports the engine

        path = self._app_path()
        if path is None:
            return self._configured(App("default"))
        app, self.celery = load_app(path)
        self._is_app_found = True
        return self._configured(app)

    def _configured_of(self, package: str) -> App | None:
        """Return a package's app, None where there is none: it was only a guess."""
        try:
            app, self.celery = load_app(package)
            return self._configured(app)
        except AppError as error:
            if isinstance(error.__cause__, ImproperlyConfigured):
                return None
            raise

    def _configured(self, app: App) -> App:
        context = self.context
        if self.options.broker:
            app.conf.override(broker_url=self.options.broker)
        elif context is not None and context.broker:
            app.conf.override(broker_url=context.broker)
        if self.options.result_backend:
            app.conf.override(result_backend=self.options.result_backend)
        elif context is not None and context.backend:
            app.conf.override(result_backend=context.backend)
        return app

    def _find_context(self) -> Context | None:
        """An option wins over everything but `-b`; a variable does not win over another one."""
        from tqconsole.core.contexts import load_contexts  # noqa: PLC0415 - few runs need it

        if self.options.context:
            return load_contexts().get(self.options.context)
        if self.options.broker or any(os.environ.get(name) for name in BROKER_VARIABLES):
            return None
        asked_for = os.environ.get(CONTEXT_VARIABLE)
        if asked_for:
            return load_contexts().get(asked_for)
        if self._app is not None or self.options.app or _has_project_broker():
            return None
        return load_contexts().current

    def _context_reason(self) -> str:
        context = self.context
        is_its_own = context is not None and context.broker and not self.options.broker
        return f"context {context.name}" if context is not None and is_its_own else ""

    def _app_path(self) -> str | None:
        if self.options.app:
            return self.options.app
        context = self.context
        if context is not None:
            return context.app or None
        for name in APP_VARIABLES:
            if os.environ.get(name):
                return os.environ[name]
        found = project_table(Path.cwd())
        if found is None:
            return None
        path, table = found
        named = table.get("app")
        if not isinstance(named, str) or not named:
            return None
        # The app's package lies beside the file that names it, wherever we were called.
        sys.path.insert(0, str(path.parent))
        return named


def _has_project_broker() -> bool:
    """True when an app is named by a variable, or anything by the project's file."""
    if any(os.environ.get(name) for name in APP_VARIABLES):
        return True
    found = project_table(Path.cwd())
    return found is not None and bool(found[1].get("app") or found[1].get("broker"))


def _is_importable(package: str) -> bool:
    """True when a package of that name lies here or is installed; imports nothing of it."""
    from importlib.util import find_spec  # noqa: PLC0415 - only `call` needs it

    if not package.isidentifier():
        return False
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        return find_spec(package) is not None
    except (ImportError, ValueError):
        return False
