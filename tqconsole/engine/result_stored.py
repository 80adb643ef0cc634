"""What the store says of a call: the record and its parts, read when asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from tqconsole.engine import current, states
from tqconsole.engine.backends.base import Backend
from tqconsole.engine.clock import Clock
from tqconsole.engine.exceptions import OperationalError
from tqconsole.engine.patience import Patience
from tqconsole.engine.protocol.instant import iso_instant
from tqconsole.engine.protocol.result import ResultRecord, decode_record
from tqconsole.engine.result_cache import ResultCache
from tqconsole.engine.result_waiter import ResultWaiters

Answer = TypeVar("Answer")

#: Seconds that a caller who waits already waits for a store that is away, at most.
_AWAY_S = 30.0


class ResultHome(Protocol):
    """What a result needs of the app that made it."""

    backend: Any
    control: Any
    conf: Any
    oid: str
    result_accept: frozenset[str]
    result_content_type: str
    result_waiters: ResultWaiters
    #: Values that are kept here, None where none are.
    result_cache: ResultCache | None
    store_patience: Patience
    wall_clock: Clock

    def AsyncResult(self, id: str, **fields: Any) -> Any:
        """Return the result of one call."""
        ...

    @property
    def GroupResult(self) -> Any:
        """The class of results of groups."""
        ...


class Reading:
    """How one caller reads a record while it waits: a store that restarts ends no wait."""

    def __init__(self, clock: Clock, patience: Patience) -> None:
        self._clock = clock
        self._patience = patience
        self._away_mono: float | None = None
        self._failure_count = 0

    def record(self, result: StoredResult) -> ResultRecord:
        """Return the record as it is now, PENDING while the store is away.

        Raises: OperationalError when it has been away for 30 s, or as the settings say.
        """
        try:
            record = result.look()
        except OperationalError:
            self._failure_count += 1
            if self._is_over():
                raise
            return ResultRecord(result.id, states.PENDING)
        self._away_mono, self._failure_count = None, 0
        return record

    def _is_over(self) -> bool:
        if self._patience.always is not None:
            return not self._patience.always or self._failure_count > self._patience.most_tries
        now_mono = self._clock.mono()
        if self._away_mono is None:
            self._away_mono = now_mono
        return now_mono - self._away_mono > _AWAY_S


class StoredResult:
    """A call's id and what its record says. A record that is an end is read once."""

    def __init__(
        self,
        id: str,
        backend: Backend | None = None,
        task_name: str | None = None,
        app: Any = None,
        parent: Any = None,
    ) -> None:
        if id is None:
            raise ValueError("AsyncResult requires a valid id, not None")
        self.id = id
        self.task_name = task_name
        self.parent = parent
        self.ignored = False
        self._home = app
        self._backend = backend
        self._record: ResultRecord | None = None

    @property
    def app(self) -> ResultHome:
        """The app it belongs to."""
        if self._home is None:
            self._home = current.get_current_app()
        return self._home  # type: ignore[no-any-return]  # apps come from user code

    @property
    def backend(self) -> Any:
        """The store that knows it."""
        return self._backend if self._backend is not None else self.app.backend

    @property
    def task_id(self) -> str:
        """The call's id."""
        return self.id

    def record(self) -> ResultRecord:
        """Return the record as it is now; PENDING when there is none."""
        if self._record is not None:
            return self._record
        return self.persist(self.look)

    def persist(self, call: Callable[[], Answer]) -> Answer:
        """Return what a call to the store returns, tried again as the settings say."""
        try:
            return call()
        except OperationalError as error:
            return self.app.store_patience.outlast(call, error, self.app.wall_clock)

    def look(self) -> ResultRecord:
        """Return the record as it is now, asking the store at most once."""
        if self._record is not None:
            return self._record
        cache = self.app.result_cache
        if cache is not None and (known := cache.get(self.id)) is not None:
            return self._ended(known)
        data = self.backend.fetch([self.id]).get(self.id)
        return ResultRecord(self.id, states.PENDING) if data is None else self.take(data)

    def take(self, data: bytes) -> ResultRecord:
        """Return the record in these stored bytes; an end is kept, and told to who waits for it."""
        home = self.app
        record = decode_record(data, home.result_content_type, home.result_accept)
        if record.state in states.READY_STATES and self._record is None:
            if record.state == states.SUCCESS and home.result_cache is not None:
                home.result_cache.put(record)
            return self._ended(record)
        return record

    def _ended(self, record: ResultRecord) -> ResultRecord:
        self._record = record
        self.on_ready()
        return record

    def on_ready(self) -> None:
        """Called once, when the end has become known. For overriding."""

    @property
    def state(self) -> str:
        """The state's name."""
        return self.record().state

    status = state

    @property
    def result(self) -> Any:
        """The value, the exception, or the meta of a state that is no end."""
        return self.record().result

    info = result

    @property
    def traceback(self) -> str | None:
        """The remote traceback as text."""
        return self.record().traceback

    @property
    def date_done(self) -> str | None:
        """When it ended, ISO 8601."""
        done_at = self.record().date_done_at
        return None if done_at is None else iso_instant(done_at)

    @property
    def name(self) -> Any:
        """The task's name (with `result_extended`)."""
        return self._extended("name") or self.task_name

    @property
    def args(self) -> Any:
        """The arguments (with `result_extended`)."""
        return self._extended("args")

    @property
    def kwargs(self) -> Any:
        """The keywords (with `result_extended`)."""
        return self._extended("kwargs")

    @property
    def worker(self) -> Any:
        """The node that ran it (with `result_extended`)."""
        return self._extended("worker")

    @property
    def retries(self) -> Any:
        """How many runs came before the last (with `result_extended`)."""
        return self._extended("retries")

    @property
    def queue(self) -> Any:
        """The queue it came through (with `result_extended`)."""
        return self._extended("queue")

    def _extended(self, name: str) -> Any:
        return self.record().extended.get(name)

    def exists(self) -> bool:
        """Return True when the store has a record of this id."""
        return self.persist(lambda: bool(self.backend.fetch([self.id])))

    @property
    def is_known(self) -> bool:
        """True when its end is known here: nothing need be read."""
        return self._record is not None

    def ready(self) -> bool:
        """Return True when it has ended."""
        return self.state in states.READY_STATES

    def successful(self) -> bool:
        """Return True when it has a value."""
        return self.state == states.SUCCESS

    def failed(self) -> bool:
        """Return True when it ended with an exception."""
        return self.state == states.FAILURE
