"""What a worker has in hand and what it owes, between two steps of the state machine.

One owner: the machine of the loop's thread. The phases (admission, handing, ending) read and
change it; it decides nothing itself. Nothing here reads a clock or does I/O.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tqconsole.engine.middleware.fallout import ReturnedPart
from tqconsole.engine.protocol.header import TaskHeader
from tqconsole.engine.protocol.transfer import Publication, ResultWrite, Settlement, Verdict
from tqconsole.engine.worker.machine_options import MachineOptions, TaskPolicy
from tqconsole.engine.worker.revokes import Revokes
from tqconsole.engine.worker.values import Action, Entry, Log, Now
from tqconsole.engine.worker.window import RunTimes, Window


class Hand:
    """The state that the phases share."""

    def __init__(self, options: MachineOptions, policies: dict[str, TaskPolicy]) -> None:
        self.options = options
        self.policies = policies
        self.now = Now(0.0, 0.0)
        self.revokes = Revokes()
        self.window = Window(options.prefetch_multiplier)
        self.run_times = RunTimes()
        self.last_job_id = 0
        #: The pool's word, less what was submitted since.
        self.slot_count = 0
        self.free_count = 0
        #: Slots that run a batch of short tasks, and take another one behind it.
        self.behind_count = 0
        #: Batches submitted in this step, and those of them that another one may follow.
        self.submitted_count = self.followable_count = 0
        #: Task events are wanted.
        self.has_listeners = False
        #: Nothing more is fetched or begun.
        self.is_stopping = False
        # In hand, by phase.
        self.ready: deque[Entry] = deque()
        self.waiting: list[tuple[float, int, Entry]] = []
        self.held: dict[str, deque[Entry]] = {}
        self.batches: list[list[Entry]] = []
        #: Batches whose handover is under way: their slots are taken.
        self.in_flight_count = 0
        self.running: dict[int, Entry] = {}
        #: Running ones that are not acknowledged yet: they fill the window.
        self.late_count = 0
        # Owed to the broker and to the store.
        self.settled: list[Settlement] = []
        self.publications: list[Publication] = []
        self.results: list[ResultWrite] = []
        self.parked: list[tuple[str, float]] = []
        self.unsaved: list[Debt] = []
        #: Deliveries that the broker took from us while they ran -> how they ended, None: not yet.
        self.forfeited: dict[str, Settlement | None] = {}
        # Going out with this step.
        self.actions: list[Action] = []
        self.events: list[tuple[str, dict[str, Any]]] = []
        # Counted for heartbeats and stats.
        self.totals: Counter[str] = Counter()
        #: Runs that have come back in this step.
        self.ended_count = 0

    def log(self, level: int, text: str, traceback: str = "") -> None:
        """Add one line for the log."""
        self.actions.append(Log(level, text, traceback))

    def emit(self, kind: str, fields: dict[str, Any], at: float | None = None) -> None:
        """Add one task event that happened at `at` (now when None): a flush may come much later."""
        fields["timestamp"] = self.now.at if at is None else at
        self.events.append((kind, fields))

    def settle(
        self,
        tag: str,
        verdict: Verdict,
        reason: str = "",
        detail: str = "",
        *,
        results: Sequence[ResultWrite] = (),
        publications: Sequence[Publication] = (),
        parts: Sequence[ReturnedPart] = (),
    ) -> None:
        """Owe this settlement; where the store does not ride, its records are stored before, and
        the parts of chords always come back before.
        """
        settlement = Settlement(tag, verdict, reason, detail)
        if self.forfeited and tag in self.forfeited:
            self.forfeited[tag] = settlement
        if parts or (results and not self.options.store_rides):
            self.unsaved.append(Debt(settlement, results, publications, parts))
            return
        self.settled.append(settlement)
        if results:
            self.results.extend(results)
        if publications:
            self.publications.extend(publications)

    def settle_behind(self, settlement: Settlement) -> None:
        """Owe a settlement whose records are owed already: it must not overtake them."""
        self.unsaved.append(Debt(settlement, (), ()))

    def owe(self, debt: Debt) -> None:
        """Owe what a failure leaves behind, with or without a message that is to be settled."""
        if debt.parts or (debt.results and not self.options.store_rides):
            self.unsaved.append(debt)
            return
        if debt.settlement is not None:
            self.settled.append(debt.settlement)
        self.results.extend(debt.results)
        self.publications.extend(debt.publications)

    def in_window_count(self) -> int:
        """Return how many deliveries count against the window: what waits for a slot, and what
        runs without being acknowledged. Tasks that wait for their time or rate do not.
        """
        # What the next exchange acknowledges (early ack) makes room in that very exchange.
        count = len(self.ready) + self.late_count
        for batch in self.batches:
            for entry in batch:
                count += entry.policy.acks_late
        return count

    def not_started(self) -> Iterator[Entry]:
        """Iterate over what is in hand and was not submitted: ready, handing, held, waiting."""
        yield from self.ready
        for batch in self.batches:
            yield from batch
        for held in self.held.values():
            yield from held
        for _, _, entry in self.waiting:
            yield entry

    def remove(self, is_meant: Callable[[Entry], bool]) -> list[Entry]:
        """Take out of hand, and return, what has not been submitted and is meant."""
        found = [entry for entry in self.not_started() if is_meant(entry)]
        if found:
            gone = set(map(id, found))
            self.ready = deque(entry for entry in self.ready if id(entry) not in gone)
            batches = [[each for each in batch if id(each) not in gone] for batch in self.batches]
            self.batches = [batch for batch in batches if batch]
            held = {
                name: deque(entry for entry in entries if id(entry) not in gone)
                for name, entries in self.held.items()
            }
            self.held = {name: entries for name, entries in held.items() if entries}
            # A heap with holes is no heap; a sorted list is one.
            self.waiting = sorted(item for item in self.waiting if id(item[2]) not in gone)
        return found

    def owes_nothing(self) -> bool:
        """True when nothing in hand or owed is left."""
        return not (
            self.running
            or self.batches
            or self.ready
            or self.settled
            or self.unsaved
            or self.publications
            or self.results
            or self.parked
        )

    def owed_ids(self) -> set[str]:
        """Return the ids of the records that are not in the store yet."""
        owed_ids = {write.task_id for write in self.results}
        owed_ids.update(write.task_id for debt in self.unsaved for write in debt.results)
        return owed_ids

    def stores(self, header: TaskHeader, policy: TaskPolicy | None, *, is_error: bool) -> bool:
        """True when the worker's own record of this task is to be stored."""
        if not self.options.stores_results:
            return False
        is_ignored = header.ignore_result
        if is_ignored is None:
            is_ignored = policy is not None and policy.ignores_result
        return not is_ignored or (is_error and policy is not None and policy.stores_errors_anyway)


class Debt:
    """A settlement that waits for its records to be stored and its parts to come back."""

    __slots__ = ("parts", "publications", "results", "settlement")

    def __init__(
        self,
        settlement: Settlement | None,
        results: Sequence[ResultWrite],
        publications: Sequence[Publication],
        parts: Sequence[ReturnedPart] = (),
    ) -> None:
        self.settlement = settlement
        self.parts = parts
        self.results = results
        self.publications = publications
