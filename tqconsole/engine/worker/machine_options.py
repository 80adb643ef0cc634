"""What the state machine is told before its first step: of the worker, and of each task."""

from __future__ import annotations

import msgspec

from tqconsole.engine.patience import Patience
from tqconsole.engine.worker.window import MAX_BATCH


class TaskPolicy(msgspec.Struct, frozen=True):
    """What the worker needs to know of a task without touching its class. Limits in seconds."""

    task_name: str
    acks_late: bool = False
    acks_on_failure: bool = True
    acks_on_timeout: bool = True
    #: A late-ack run whose process died comes back (False only where the task says so).
    returns_lost: bool = True
    #: A run whose process died counts as a retry, `max_retries` times (None: without end), after
    #: `retry_delay_s`.
    retries_lost: bool = False
    max_retries: int | None = 3
    retry_delay_s: float = 180.0
    rate_per_s: float | None = None
    #: The rate is that of all workers together.
    is_rate_shared: bool = False
    hard_limit_s: float | None = None
    soft_limit_s: float | None = None
    ignores_result: bool = False
    stores_errors_anyway: bool = False
    sends_events: bool = True
    #: It has a `Request` of its own, which is told of each run.
    has_request: bool = False


class MachineOptions(msgspec.Struct, frozen=True):
    """What holds for the whole life of one worker."""

    hostname: str
    prefetch_multiplier: int = 4
    #: False: fetch only for slots that are free (`worker_disable_prefetch`).
    fetches_ahead: bool = True
    can_park: bool = True
    stores_results: bool = True
    #: The store's records go in the broker's own trip; else they are stored before the ack.
    store_rides: bool = True
    #: Jobs handed to one slot together at most.
    max_batch: int = MAX_BATCH
    #: A batch may be submitted behind another one of short tasks that its slot still runs.
    follows_batches: bool = False
    #: The broker notes what starts while an exchange is under way.
    starts_beside: bool = False
    #: Deaths after which a task is a dead letter.
    max_deaths: int = 5
    #: Seconds a warm shutdown waits for running tasks; None: as long as they take.
    grace_s: float | None = None
    #: How often and after which times a store that fails is tried again.
    store_patience: Patience = Patience()
    is_result_extended: bool = False
    #: What is acknowledged before it runs is noted in the result store (`NoteHanded`).
    notes_handed: bool = False
    #: Queues whose messages are acknowledged before they run, whatever their task says.
    no_ack_queues: frozenset[str] = frozenset()
    logs_info: bool = False
    #: Somebody connected to the `task_received` signal.
    tells_received: bool = False
