"""What goes into the worker's state machine (happenings) and what comes out of it (actions).

Plain values: the loop makes happenings of what the broker, the pool, the mailbox and the signals
tell, and carries actions out. Neither carries a verb; only `Entry`, one delivery in hand, changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from tqconsole.engine.exceptions import RefusedError
from tqconsole.engine.middleware.fallout import ReturnedPart
from tqconsole.engine.pools.base import JobLost, JobStarted
from tqconsole.engine.protocol.header import TaskHeader
from tqconsole.engine.protocol.transfer import (
    Delivery,
    Handover,
    Publication,
    ResultWrite,
    Settlement,
)
from tqconsole.engine.worker.machine_options import TaskPolicy
from tqconsole.engine.worker.outcome import Outcome


class Now(msgspec.Struct, frozen=True, gc=False):
    """Both clocks, read once a step: `at` is for ETA and expiry, `mono` for everything measured."""

    at: float
    mono: float


class Entry(msgspec.Struct, eq=False, gc=False):
    """One delivery in this worker's hands, from its arrival to its settlement."""

    delivery: Delivery
    header: TaskHeader
    policy: TaskPolicy
    job_id: int = 0
    batch_id: int = 0
    pid: int | None = None
    started_at: float | None = None
    #: Its handover is written: it may start.
    is_handed: bool = False
    #: Handed over as acknowledged: it will not come back.
    is_acked: bool = False
    is_revoked: bool = False
    #: The broker took it from us while its handover was under way.
    is_forfeited: bool = False
    #: The signal that `terminate` asked for, None when nobody did.
    signum: int | None = None


#: A delivery with its header as read, or why it cannot be.
Arrival = tuple[Delivery, TaskHeader | RefusedError]


# --- happenings -------------------------------------------------------------------------------


class ExchangeWritten(msgspec.Struct, frozen=True):
    """The exchange under way has left: what it hands over may start. Its end is still to come."""


class StartWritten(msgspec.Struct, frozen=True):
    """The last `Start` has left: what it notes may start."""


class StartFailed(msgspec.Struct, frozen=True):
    """It has not."""


class ExchangeDone(msgspec.Struct, frozen=True):
    """The last exchange took effect; these came in (oldest first). `unread` is what came and may
    be read when the next exchange has left.
    """

    arrivals: Sequence[Arrival] = ()
    unread: Sequence[Any] = ()


class Arrived(msgspec.Struct, frozen=True):
    """What an exchange brought, read after the next one had left."""

    arrivals: Sequence[Arrival]


class Caught(msgspec.Struct, frozen=True):
    """These came in without an exchange that asked for them."""

    arrivals: Sequence[Arrival]


class Forfeited(msgspec.Struct, frozen=True):
    """The broker has taken these deliveries from us."""

    tags: Sequence[str]


class ExchangeFailed(msgspec.Struct, frozen=True):
    """The last exchange took no effect; it is to be made again."""

    reason: str


class StoreDone(msgspec.Struct, frozen=True):
    """The result store has the records of the last `Store`."""


class StoreFailed(msgspec.Struct, frozen=True):
    """It has not; they are to be stored again."""

    reason: str


class Rang(msgspec.Struct, frozen=True):
    """Something may be there to fetch: the bell, a due time, or the safety poll."""


class SlotsChanged(msgspec.Struct, frozen=True):
    """The pool's own count, read after its last news."""

    slot_count: int
    free_count: int
    #: Slots that run short tasks and take more of them behind these.
    behind_count: int = 0


class RunEnded(msgspec.Struct, frozen=True, gc=False):
    """A run came back from the pool, decoded."""

    job_id: int
    outcome: Outcome


class Withdrawn(msgspec.Struct, frozen=True):
    """These jobs are out of the pool again, or it did not take them; they have not begun."""

    job_ids: Sequence[int]


class RevokeAsked(msgspec.Struct, frozen=True):
    """These ids must not start any more; those that run die with `signum`, if one is given.

    `is_recorded`: those that are not in hand get their record now (a command; not what another
    node or the state file remembers).
    """

    task_ids: Sequence[str]
    signum: int | None = None
    is_recorded: bool = False


class RecordsLeft(msgspec.Struct, frozen=True):
    """So many revoked ids still need their record: the last `RecordRevoked` did its share."""

    task_ids: Sequence[str]


class StampsRevoked(msgspec.Struct, frozen=True):
    """Tasks that carry one of these stamps must not start any more."""

    stamps: Mapping[str, Any]


class After(msgspec.Struct, frozen=True):
    """What the end of a task means for others: records of calls that never run, parts of chords."""

    results: tuple[ResultWrite, ...] = ()
    parts: tuple[ReturnedPart, ...] = ()


NOTHING_AFTER = After()


class RateSet(msgspec.Struct, frozen=True):
    """A task's rate from now on; None: no limit."""

    task_name: str
    rate_per_s: float | None


class TimeLimitSet(msgspec.Struct, frozen=True):
    """A task's limits for later runs, in seconds."""

    task_name: str
    hard_s: float | None
    soft_s: float | None


class EventsSwitched(msgspec.Struct, frozen=True):
    """Somebody listens to task events now, or nobody does."""

    is_on: bool


class LossReported(msgspec.Struct, frozen=True):
    """What dead workers had: `lost` was started and acknowledged early, `dead` died too often."""

    lost: Sequence[Arrival] = ()
    dead: Sequence[Arrival] = ()


class Stop(msgspec.Struct, frozen=True):
    """Shut down: warm lets finish what runs, cold does not. `grace_s`: a warm one becomes cold
    after that time; None: when the options say so.
    """

    is_cold: bool = False
    grace_s: float | None = None


class Tick(msgspec.Struct, frozen=True):
    """Time has passed."""


Happening = (
    ExchangeWritten
    | StartWritten
    | StartFailed
    | ExchangeDone
    | Forfeited
    | ExchangeFailed
    | StoreDone
    | StoreFailed
    | Rang
    | Arrived
    | Caught
    | SlotsChanged
    | JobStarted
    | RunEnded
    | JobLost
    | Withdrawn
    | RevokeAsked
    | RecordsLeft
    | StampsRevoked
    | RateSet
    | TimeLimitSet
    | EventsSwitched
    | LossReported
    | Stop
    | Tick
)


# --- actions ----------------------------------------------------------------------------------


class Exchange(msgspec.Struct, frozen=True):
    """The one trip of a cycle: park, write what rides, settle, note what starts, fetch.

    Answered by `ExchangeDone` or `ExchangeFailed`; there is never a second one under way.
    """

    settled: Sequence[Settlement] = ()
    started: Sequence[Handover] = ()
    wanted: int = 0
    results: Sequence[ResultWrite] = ()
    publications: Sequence[Publication] = ()
    parked: Sequence[tuple[str, float]] = ()
    #: There is enough in hand for the next one: what this one brings need not be read before that.
    is_ahead: bool = False


class Start(msgspec.Struct, frozen=True):
    """Note what starts, behind the exchange that is under way: slots that are free need not wait
    for its answer. Answered by `StartWritten` or `StartFailed`.
    """

    started: Sequence[Handover]


class Read(msgspec.Struct, frozen=True):
    """Read what came with the last exchange. Answered by `Arrived`."""

    unread: Sequence[Any]


class NoteHanded(msgspec.Struct, frozen=True):
    """Note what is acknowledged and has no end yet, task id and delivery each, before the exchange
    that acknowledges some of it.
    """

    handed: Sequence[tuple[str, Delivery]]


class Store(msgspec.Struct, frozen=True):
    """Write these records, and let these parts come back to their chords, before what they belong
    to is settled.
    """

    writes: Sequence[ResultWrite]
    parts: Sequence[ReturnedPart] = ()


class RecordRevoked(msgspec.Struct, frozen=True):
    """Write REVOKED for those of these that wait out of sight; answered by `RecordsLeft` when there
    are too many for one turn.
    """

    task_ids: Sequence[str]


class Order(msgspec.Struct, frozen=True, gc=False):
    """One run for the pool, with the limits that hold for it."""

    entry: Entry
    soft_limit_s: float | None
    hard_limit_s: float | None


class Submit(msgspec.Struct, frozen=True):
    """Hand these to one free slot, in order. `is_told`: somebody wants to read what they return."""

    orders: Sequence[Order]
    is_told: bool = True


class Withdraw(msgspec.Struct, frozen=True):
    """Take back what waits behind a running job; answered by `Withdrawn`."""


class Terminate(msgspec.Struct, frozen=True):
    """Send a signal to the process that runs this job."""

    job_id: int
    signum: int


class KillAll(msgspec.Struct, frozen=True):
    """End all slots at once: what ran is settled after this."""


class Emit(msgspec.Struct, frozen=True):
    """Events of one step, as (type, fields)."""

    events: Sequence[tuple[str, dict[str, Any]]]


class Log(msgspec.Struct, frozen=True):
    """One line of the log, at a level of `logging`; `traceback` follows it as it is."""

    level: int
    text: str
    traceback: str = ""


class BrokerAway(msgspec.Struct, frozen=True):
    """The broker did not take what it was to have: the first time in a row."""

    reason: str


class BrokerBack(msgspec.Struct, frozen=True):
    """It takes what it is to have again."""


class Notify(msgspec.Struct, frozen=True):
    """Something that one of the signals tells (revoked, rejected, unknown, received), or the
    `Request` of a task that has one of its own (started, ended, lost).
    """

    kind: str
    entry: Entry | None
    delivery: Delivery
    details: Mapping[str, Any] = msgspec.field(default_factory=dict)


class Exit(msgspec.Struct, frozen=True):
    """All is settled: the worker may end with this code."""

    code: int


Action = (
    Exchange
    | Start
    | Read
    | NoteHanded
    | Store
    | RecordRevoked
    | Submit
    | Withdraw
    | Terminate
    | KillAll
    | Emit
    | Log
    | BrokerAway
    | BrokerBack
    | Notify
    | Exit
)
