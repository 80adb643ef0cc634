"""The app: the hub that users hold. It knows the settings, the tasks, the broker and the store, and
hands itself to what needs them.

Making one costs nothing: the configuration is read at the first look at it, the broker and the
result store are opened at the first use, tasks are made when one of them is used. The phases of its
work stand beside it: `settings` (configuration), `tasks` (functions to tasks), `calls`
and `send` (calls to messages), `store` (broker and results), `eager` (runs here).
"""

from __future__ import annotations

import importlib
import sys
import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import tzinfo
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from tqconsole.engine import current, signals
from tqconsole.engine.app.calls import Caller
from tqconsole.engine.app.config import Discovery, default_module
from tqconsole.engine.app.links import Linked
from tqconsole.engine.app.registry import TaskRegistry, load_object, shared_task
from tqconsole.engine.app.settings import Configured
from tqconsole.engine.app.tasks import TaskHolder
from tqconsole.engine.clock import SYSTEM_CLOCK, Clock, LamportClock
from tqconsole.engine.current import app_or_default, current_app, current_task
from tqconsole.engine.exceptions import ImproperlyConfigured
from tqconsole.engine.fork_locks import give_lock
from tqconsole.engine.settings import Settings
from tqconsole.engine.task import Task as TaskClass

__all__ = [
    "App",
    "Celery",
    "app_or_default",
    "current_app",
    "current_task",
    "shared_task",
]

if TYPE_CHECKING:
    from tqconsole.engine.app.connections import Connections
    from tqconsole.engine.app.send import Sender
    from tqconsole.engine.backends.base import Backend
    from tqconsole.engine.brokers.base import Broker
    from tqconsole.engine.brokers.resolution import Resolved
    from tqconsole.engine.control.client import Control
    from tqconsole.engine.dead_letters import DeadLetters
    from tqconsole.engine.events.facade import Events
    from tqconsole.engine.protocol.mailboxes import Mailboxes

#: What most processes never need is loaded when it is asked for: a client's start counts.
CONTROL = "tqconsole.engine.control.client:Control"
EVENTS = "tqconsole.engine.events.facade:Events"
MAILBOXES = "tqconsole.engine.protocol.mailboxes:mailboxes_of"
CONNECTIONS = "tqconsole.engine.app.connections:Connections"

#: Celery's arguments that name parts of its inside.
_PLUMBING = ("amqp", "fixups", "loader", "log")

DEAD_LETTERS = "tqconsole.engine.dead_letters:DeadLetters"
#: Stands on a floor above, and is reached by name only.
WORKER = "tqconsole.engine.worker.work_controller:WorkController"

#: The program behind `start` and `worker_main`. It stands floors above and is reached by name only.
COMMAND_LINE = "tqconsole.cli.main"


class App(Configured, TaskHolder, Caller, Linked):
    """A task queue application. `Celery` is the same class.

    `broker` and `backend` are URLs, or opened adapters. Further keywords are settings.
    """

    def __init__(
        self,
        main: str | None = None,
        backend: str | Backend | None = None,
        broker: str | Broker | None = None,
        include: Sequence[str] | None = None,
        set_as_current: bool = True,
        tasks: TaskRegistry | Mapping[str, Any] | None = None,
        changes: Mapping[str, Any] | None = None,
        config_source: Any = None,
        task_cls: Any = None,
        autofinalize: bool = True,
        namespace: str | None = None,
        strict_typing: bool = True,
        control: Any = None,
        events: Any = None,
        clock: Clock = SYSTEM_CLOCK,
        **settings: Any,
    ) -> None:
        _refuse_plumbing(settings)
        self.main = main
        self.strict_typing, self.autofinalize = strict_typing, autofinalize
        self.namespace = namespace
        self._config_source = config_source
        self.finalized = False
        self.registry = tasks if isinstance(tasks, TaskRegistry) else TaskRegistry(tasks or {})
        #: Verb, or "preload" for all of them -> click options that this app adds to it.
        self.user_options: dict[str, set[Any]] = defaultdict(set)
        self.clock = LamportClock()
        self.wall_clock = clock
        self.on_configure = signals.Signal(name="app.on_configure")
        self.on_after_configure = signals.Signal(("source",), "app.on_after_configure")
        self.on_after_finalize = signals.Signal(name="app.on_after_finalize")
        self.on_after_fork = signals.Signal(name="app.on_after_fork")
        self.conf = Settings(
            {**(changes or {}), **settings},
            self._loader(config_source, is_silent=False),
            self._after_configure,
        )
        self._given_broker = self._take("broker_url", broker)
        self._given_backend = self._take("result_backend", backend)
        self._set_given("include", include)
        self._task_class = task_cls
        self._bound_task_class: type[TaskClass] | None = None
        self._control_class, self._events_class = control or CONTROL, events or EVENTS
        self._control: Control | None = None
        self._events: Events | None = None
        give_lock(self, "_lock")
        self._pending: list[Any] = []
        self._discovery = Discovery()
        self._selected: list[str] | None = None
        self._excluded: set[str] = set()
        self._oids = threading.local()
        self._zone: tuple[int, tzinfo] | None = None
        self._made_connections: Connections | None = None
        self._made_sender: Sender | None = None
        self._made_pools: dict[str, Any] = {}
        current.register_app(self)
        if set_as_current:
            self.set_current()

    @property
    def broker(self) -> Broker:
        """The broker, opened at the first use. Raises: ImproperlyConfigured."""
        return self._connections.broker

    @broker.setter
    def broker(self, broker: Broker) -> None:
        self._connections.broker = broker

    @property
    def write_broker(self) -> Broker:
        """Where messages of tasks are published: `broker`, unless the settings tell them apart."""
        return (self._made_connections or self._connections).write_broker

    @property
    def broker_resolved(self) -> Resolved:
        """Which broker is meant, and why."""
        return self._connections.resolved

    @property
    def backend(self) -> Backend:
        """The result store, opened at the first use. Raises: ImproperlyConfigured."""
        return (self._made_connections or self._connections).backend

    @backend.setter
    def backend(self, backend: Backend) -> None:
        self._connections.backend = backend

    def open_store(self, url: str) -> Backend:
        """Open a result store besides the app's. Raises: ImproperlyConfigured."""
        return self._connections.open_store(url)

    @property
    def control(self) -> Control:
        """Commands to the workers."""
        if self._control is None:
            made: Control = load_object(self._control_class)(self)
            self._control = made
        return self._control

    @property
    def events(self) -> Events:
        """Senders and readers of events."""
        if self._events is None:
            made: Events = load_object(self._events_class)(self, self.origin)
            self._events = made
        return self._events

    @property
    def mailboxes(self) -> Mailboxes:
        """How commands and events travel. Raises: ImproperlyConfigured."""
        made: Mailboxes = load_object(MAILBOXES)(self.conf)
        return made

    # -- life

    @cached_property
    def dead(self) -> DeadLetters:
        """Messages that could not be run: `list`, `replay`, `drop`."""
        made: DeadLetters = load_object(DEAD_LETTERS)(lambda: self.broker)
        return made

    def Worker(self, **options: Any) -> Any:
        """Return a worker to be run here: `app.Worker(concurrency=1).start()`.

        Options are those of the command line, as keywords. Raises: TypeError for others.
        """
        return load_object(WORKER)(self, **options)

    WorkController = Worker

    def set_current(self) -> None:
        """Make this the current app of this thread."""
        current.set_current_app(self)

    def set_default(self) -> None:
        """Make this the app of threads that have chosen none."""
        current.set_default_app(self)

    def start(self, argv: Sequence[str] | None = None) -> None:
        """Run the command line for this app, with the program's arguments by default; exits."""
        self._command_line(sys.argv[1:] if argv is None else argv)

    def worker_main(self, argv: Sequence[str] | None = None) -> None:
        """Run the `worker` command for this app; exits. Raises: ValueError without "worker"."""
        given = sys.argv[1:] if argv is None else argv
        if "worker" not in given:
            raise ValueError(
                "The worker sub-command must be specified in argv. "
                "Use app.start() to start other commands."
            )
        self._command_line(given)

    def bugreport(self) -> str:
        """Return versions, addresses and changed settings as text."""
        from tqconsole.engine.app.report import bug_report  # noqa: PLC0415 - importlib.metadata: 10 ms

        return bug_report(self)

    def close(self) -> None:
        """Give up connections and be no app that others find."""
        if self._made_connections is not None:
            self._made_connections.close()
        self._close_pools()
        current.deregister_app(self)

    def _take(self, setting: str, given: Any) -> Any:
        """Make a setting of a URL; return what is an opened adapter as it is."""
        if given is None or isinstance(given, str | list | tuple):
            self._set_given(setting, given)
            return None
        return given

    @property
    def _connections(self) -> Connections:
        if self._made_connections is None:
            with self._lock:
                if self._made_connections is None:
                    kind = load_object(CONNECTIONS)
                    made: Connections = kind(self.conf, self._given_broker, self._given_backend)
                    self._made_connections = made
        return self._made_connections

    def _command_line(self, argv: Sequence[str]) -> None:
        self.set_default()
        sys.exit(importlib.import_module(COMMAND_LINE).main(list(argv), app=self))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __reduce__(self) -> Any:
        # Its tasks come with the modules that make them, as in Celery.
        made_of = {
            "main": self.main,
            "namespace": self.namespace,
            "strict_typing": self.strict_typing,
            "changes": dict(self.conf.changes),
            "config_source": self._config_source,
            "set_as_current": False,
        }
        return _made_again, (type(self), made_of)

    def __repr__(self) -> str:
        return f"<Celery {self.main or '__main__'} at {id(self):#x}>"


Celery = App


def _made_again(kind: type[App], made_of: dict[str, Any]) -> App:
    return kind(**made_of)


def _refuse_plumbing(settings: dict[str, Any]) -> None:
    """Raise ImproperlyConfigured for parts of Celery that have no counterpart here."""
    for name in _PLUMBING:
        if settings.pop(name, None) is not None:
            raise ImproperlyConfigured(
                f"App({name}=...) replaces a part of Celery that this engine does not have"
            )


def _default_app() -> App:
    """Return the app of threads without one: it reads `celeryconfig` where there is one."""
    return App("default", set_as_current=False, config_source=default_module())


current.set_default_factory(_default_app)
