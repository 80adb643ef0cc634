"""What the screens draw: rows and one snapshot per frame. Plain values, already cleaned text.

Every string in here that came from a cluster went through `core/sanitize.py`. Instants are UTC
epoch seconds, durations float seconds, None means "not known" and is drawn as such, never as 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from tqconsole.core.actions import ActionRequest
from tqconsole.core.beat_views import BeatPicture
from tqconsole.core.type_views import TypeView

#: `TaskRow.source` of a row that an earlier run of the console has left.
PAST = "history"


class TaskRow:
    """One run of a task as the console knows it.

    Mutable and without containers, because 100,000 of them live at once: garbage collection stays
    cheap and a row costs about half a kilobyte. `revision` grows with each change, for caches.
    """

    __slots__ = (
        "args", "ended_at", "eta", "exception", "expires", "failed_at", "is_lost", "kwargs",
        "lost_by", "name", "parent_id", "progress_done", "progress_total", "queue", "received_at",
        "result", "retries", "revision", "root_id", "runtime_s", "search", "sent_at", "sequence",
        "source", "started_at", "state", "task_id", "text_bytes", "traceback", "updated_at",
        "worker",
    )  # fmt: skip

    def __init__(self, task_id: str, sequence: int) -> None:
        self.task_id = task_id
        #: Order of first sight, grows; newest rows have the highest.
        self.sequence = sequence
        self.name = ""
        self.state = "PENDING"
        self.worker = ""
        self.queue = ""
        self.args = ""
        self.kwargs = ""
        self.result = ""
        self.exception = ""
        self.traceback = ""
        self.eta = ""
        self.expires = ""
        self.root_id = ""
        self.parent_id = ""
        #: "events", "inspect", "results", "console" or PAST: where the newest fact came from.
        self.source = "events"
        self.sent_at: float | None = None
        self.received_at: float | None = None
        self.started_at: float | None = None
        #: When it ended; None while it waits or runs, also when an earlier try had ended.
        self.ended_at: float | None = None
        #: When the newest failure or retry was told: `exception` and `traceback` are from then.
        self.failed_at: float | None = None
        self.updated_at: float = 0.0
        self.runtime_s: float | None = None
        self.retries = 0
        self.progress_done: float | None = None
        self.progress_total: float | None = None
        #: Its worker is gone and nobody told how it ended.
        self.is_lost = False
        #: The worker that had started it and did not end it: it was handed on from there.
        self.lost_by = ""
        #: What bare words of a filter look through; "" until one asked.
        self.search = ""
        #: What the store counts for its texts.
        self.text_bytes = 0
        self.revision = 0

    @property
    def wait_s(self) -> float | None:
        """Seconds between sent (else received) and started."""
        begun_at = self.sent_at if self.sent_at is not None else self.received_at
        if begun_at is None or self.started_at is None:
            return None
        return max(0.0, self.started_at - begun_at)


class TaskList(Protocol):
    """A filtered, sorted, live view on the store's rows. The table never copies rows."""

    def __len__(self) -> int: ...

    def row(self, index: int) -> TaskRow:
        """Return the row at `index` of this view. Raises: IndexError."""
        ...

    def index_of(self, task_id: str) -> int | None:
        """Return where a row stands now, None when it is not in this view."""
        ...

    def __iter__(self) -> Iterator[TaskRow]: ...


@dataclass(frozen=True, slots=True)
class WorkerView:
    """One node. `status` is online, silent (heartbeat late), lost (dead) or gone (said goodbye)."""

    name: str
    status: str
    pid: int | None = None
    pool: str = ""
    slot_count: int | None = None
    active_count: int | None = None
    processed_count: int | None = None
    failed_count: int = 0
    rate_per_s: float | None = None
    load: tuple[float, float, float] | None = None
    prefetch_count: int | None = None
    queues: tuple[str, ...] = ()
    last_heartbeat_at: float | None = None
    last_reply_at: float | None = None
    reply_s: float | None = None
    up_s: float | None = None
    software: str = ""
    #: What this console missed of it, by its own counters; None when it cannot tell.
    missed_count: int | None = None
    #: Seconds its clock is off, 0 while it is about right.
    skew_s: float = 0.0


@dataclass(frozen=True, slots=True)
class QueueView:
    """One queue. `drains_in_s`: float("inf") when it grows, None when unknown."""

    name: str
    ready_count: int | None = None
    unacked_count: int | None = None
    parked_count: int | None = None
    dead_count: int | None = None
    consumer_count: int | None = None
    by_priority: tuple[tuple[int, int], ...] = ()
    in_per_s: float | None = None
    out_per_s: float | None = None
    oldest_s: float | None = None
    drains_in_s: float | None = None
    history: tuple[float, ...] = ()
    #: `oldest_s` is the least it can be: since when that message has been seen to wait.
    is_oldest_least: bool = False
    #: `unacked_count` is what workers said they hold, a few seconds ago; no broker told it.
    is_unacked_told: bool = False


@dataclass(frozen=True, slots=True)
class Attention:
    """Something a human should look at. `screen` and `target` lead to its cause.

    `level` is "error" or "warning"; `kind` is queue, type, worker, task, beat, dead or events.
    """

    level: str
    kind: str
    subject: str
    text: str
    screen: str
    target: str
    #: The binding of the key that helps, where one does.
    key_id: str = ""


@dataclass(frozen=True, slots=True)
class Totals:
    """The numbers line. None where not known: `slot_count` when one worker's pool is not."""

    workers_online: int = 0
    workers_known: int = 0
    active_count: int = 0
    slot_count: int | None = None
    queued_count: int | None = None
    done_per_s: float = 0.0
    failed_ratio: float = 0.0
    retries_per_s: float = 0.0
    p95_s: float | None = None
    unacked_count: int | None = None


@dataclass(frozen=True, slots=True)
class Charts:
    """Series for the plots, oldest first, one value a second, from where knowledge begins.

    All are equally long. A run time is None in a second of which none was measured.
    """

    done_per_s: tuple[float, ...] = ()
    failed_per_s: tuple[float, ...] = ()
    retries_per_s: tuple[float, ...] = ()
    p50_s: tuple[float | None, ...] = ()
    p95_s: tuple[float | None, ...] = ()
    p99_s: tuple[float | None, ...] = ()


@dataclass(frozen=True, slots=True)
class EventLine:
    """One raw event for the Events screen, cleaned."""

    at: float
    kind: str
    worker: str
    name: str
    task_id: str
    text: str
    #: Its JSON, or what makes it: of ten thousand a second one is looked at.
    raw_source: str | Callable[[], str] = field(repr=False)

    @property
    def raw(self) -> str:
        """Its JSON, cleaned."""
        return self.raw_source if isinstance(self.raw_source, str) else self.raw_source()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything but the task rows, made at most once per frame."""

    now_at: float
    context: str = ""
    #: #rrggbb, "" for none of its own.
    context_color: str = ""
    broker_url: str = ""
    broker_reason: str = ""
    #: connecting, live, paused, reconnecting, deaf (this broker has no events), replay
    link: str = "connecting"
    link_detail: str = ""
    is_demo: bool = False
    is_read_only: bool = False
    events_per_s: float = 0.0
    missed_count: int = 0
    #: True when task events arrive, False when workers answer and send none, None not known yet.
    has_task_events: bool | None = None
    has_sent_events: bool = False
    totals: Totals = field(default_factory=Totals)
    charts: Charts = field(default_factory=Charts)
    workers: tuple[WorkerView, ...] = ()
    queues: tuple[QueueView, ...] = ()
    types: tuple[TypeView, ...] = ()
    beat: BeatPicture = field(default_factory=BeatPicture)
    attention: tuple[Attention, ...] = ()
    failures: tuple[TaskRow, ...] = ()
    task_names: tuple[str, ...] = ()
    rows_kept: int = 0
    rows_limit: int = 0
    bytes_kept: int = 0
    oldest_at: float | None = None
    #: What is wrong with the file of the history or of the recording; "" when nothing is.
    file_note: str = ""
    #: How long the recording that is being made has become; None while none is.
    recorded_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class NodeAnswer:
    """What one node said to a command; `error` is its own words when it refused."""

    worker: str
    text: str
    error: str = ""


@dataclass(frozen=True, slots=True)
class ActionDone:
    """The end of an action. `equivalent` is the CLI command that does the same."""

    title: str
    answers: tuple[NodeAnswer, ...] = ()
    missing: tuple[str, ...] = ()
    elapsed_s: float = 0.0
    error: str = ""
    equivalent: str = ""
    #: The id of a task that the action sent, if any.
    task_id: str = ""


@dataclass(frozen=True, slots=True)
class Changes:
    """What one `drain` changed, so that a screen repaints only what moved."""

    #: Rows whose content changed or that are new.
    row_count: int = 0
    has_evicted: bool = False
    workers: bool = False
    queues: bool = False
    #: A second went by: rates, charts and attention may differ.
    stats: bool = False
    events: bool = False
    link: bool = False
    #: More waits than the budget allowed; the next frame goes on.
    is_behind: bool = False

    @property
    def is_any(self) -> bool:
        """True when something on some screen may differ."""
        flags = (self.has_evicted, self.workers, self.queues, self.stats, self.events, self.link)
        return bool(self.row_count) or any(flags)


@dataclass(frozen=True, slots=True)
class TaskFacts:
    """What could be found out about one task beyond its events (`Session.fetch_task`).

    `args_json` and `kwargs_json` are texts for an editor ("" when the real values are not to be
    had); `args_source` says where they came from: "result store", "waiting message", "worker",
    "event text" or "". `note` tells what is missing and why.
    """

    task_id: str
    name: str = ""
    queue: str = ""
    state: str = ""
    args: str = ""
    kwargs: str = ""
    args_json: str = ""
    kwargs_json: str = ""
    args_source: str = ""
    is_args_complete: bool = False
    result: str = ""
    exception: str = ""
    traceback: str = ""
    has_result: bool = False
    children: tuple[str, ...] = ()
    done_at: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Inspected:
    """One worker's answer to one inspect command, as a table and as text.

    `what` names the command; filled are `columns` and `rows`, or `text` (masked), or `error`.
    """

    worker: str
    what: str
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    text: str = ""
    error: str = ""
    elapsed_s: float = 0.0


@dataclass(frozen=True, slots=True)
class PeekedMessage:
    """One waiting message of a queue, read without taking it."""

    task_id: str
    name: str
    args: str
    kwargs: str
    eta: str
    retries: int
    origin: str
    priority: int | None
    size_bytes: int


@dataclass(frozen=True, slots=True)
class QueuePeek:
    """The next messages of a queue, and how many of them there are of each type."""

    queue: str
    messages: tuple[PeekedMessage, ...] = ()
    by_type: tuple[tuple[str, int], ...] = ()
    error: str = ""


@dataclass(frozen=True, slots=True)
class DeadLetterView:
    """One dead letter."""

    letter_id: str
    task_id: str
    name: str
    queue: str
    reason: str
    detail: str
    worker: str
    died_at: float
    args: str = ""
    kwargs: str = ""


@dataclass(frozen=True, slots=True)
class AuditLine:
    """One action that was asked for here, and how it ended. `outcome` is "" while it runs."""

    at: float
    action_id: str
    targets: tuple[str, ...]
    equivalent: str
    outcome: str = ""
    is_error: bool = False
    #: The answers, once they are there, and what takes the action back, where something does.
    done: ActionDone | None = None
    undo: ActionRequest | None = None
