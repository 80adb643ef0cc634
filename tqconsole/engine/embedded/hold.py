"""A worker's hold on its queues: its row, its lease, its bell, and the cycle of exchanges.

Used by one thread, except `renew`. Register first, then look, then wait for the bell: in this
order no message can be missed. Every second the database's version is looked at besides, for a
producer that was killed between its commit and its ring.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
import threading
from collections.abc import Sequence
from functools import partial
from typing import Any

from tqconsole.engine import freed_memory
from tqconsole.engine.embedded import bindings, forks, places, reap, sweep
from tqconsole.engine.embedded import exchange as cycle
from tqconsole.engine.embedded.host import this_host
from tqconsole.engine.embedded.reader import first
from tqconsole.engine.embedded.store import Store
from tqconsole.engine.embedded.writer import Transaction
from tqconsole.engine.exceptions import OperationalError
from tqconsole.engine.protocol.transfer import (
    Delivery,
    GivenBack,
    Handover,
    QueueSpec,
    Riding,
    Settlement,
)

#: Seconds a consumer counts as alive where no bell can tell, and between two renewals.
LEASE_S = 15.0
RENEW_INTERVAL_S = 5.0
#: Seconds between two looks without a ring.
BACKSTOP_S = 1.0
#: Seconds between two looks without a bell, from the first to the longest.
_FIRST_POLL_S, _LONGEST_POLL_S = 0.001, 0.05


class Hold:
    """One consumer. Registers on creation. Raises: OperationalError, ImproperlyConfigured."""

    def __init__(self, store: Store, queues: Sequence[QueueSpec], worker_name: str) -> None:
        self._store = store
        self._worker_name = worker_name
        self._queues = {queue.name: queue for queue in queues}
        self._queue_ids: dict[str, int] = {}
        self._registering = threading.Lock()
        self._reader = store.main.reader()
        self._turn = -1
        self._seen_version = -1
        self._found_nothing = False
        #: Nothing was exchanged since the caches were given back.
        self._is_rested = True
        self._next_due_at: float | None = None
        self._poll_s = _FIRST_POLL_S
        self._is_closed = False
        self._pid = os.getpid()
        # The folder may be made anew by this, so it comes before the bell is hung up in it.
        self._bells = str(store.bells())
        self._bell = store.bell("c" + secrets.token_hex(8))
        self._consumer_id = 0
        forks.guard(self)
        try:
            self._registered()
        except BaseException:
            self._bell.close()
            raise

    @property
    def consumer_id(self) -> int:
        """The number others see; it changes when the lease was lost."""
        return self._consumer_id

    def exchange(
        self,
        settled: Sequence[Settlement] = (),
        started: Sequence[Handover] = (),
        wanted: int = 0,
        riding: Riding | None = None,
    ) -> list[Delivery]:
        """Store, settle, note and claim in one transaction; an idle look writes nothing."""
        self._bell.drain()
        plan = cycle.plan_of(settled, started, riding)
        if plan.is_empty and (wanted <= 0 or not self._may_find()):
            return []
        consumer_id, claimed = self._store.main.write(
            partial(self._cycle, plan, wanted), is_durable=plan.is_durable
        )
        if claimed is None:
            # The lease was lost, or the file is a new one. What is wanted still can be had.
            self._registered()
            consumer_id, claimed = self._store.main.write(
                partial(self._cycle, cycle.Plan(), wanted)
            )
        self._found_nothing = self._is_rested = False
        return [cycle.delivery_of(row, consumer_id) for row in claimed or ()]

    def wait(self, timeout_s: float) -> bool:
        """Sleep until there is something to fetch, at most `timeout_s`; True when there is."""
        left_s = timeout_s
        while True:
            self._bell.drain()
            if self._may_find():
                self._poll_s = _FIRST_POLL_S
                return True
            if left_s <= 0:
                return False
            began_mono = self._store.clock.mono()
            slice_s = min(left_s, self._longest_wait_s())
            if not self._bell_rings(slice_s):
                left_s -= slice_s
            else:
                left_s -= self._store.clock.mono() - began_mono

    def fileno(self) -> int | None:
        """Return the bell's descriptor, None without a bell."""
        return self._bell.fileno()

    def next_due_at(self) -> float | None:
        """Return when the next parked message of these queues is due."""
        return self._reader.read(self._due_of)

    def park(self, due: Sequence[tuple[str, float]]) -> None:
        """Give deliveries to the store until they are due."""
        parked = [
            (due_at, *owned) for tag, due_at in due if (owned := cycle.ids_of(tag)) is not None
        ]
        if parked:

            def unit(transaction: Transaction) -> None:
                cycle.park(transaction, parked, BACKSTOP_S)
                transaction.rings.discard(self._bell.address)

            self._store.main.write(unit)
            self._found_nothing = False

    def renew(self) -> None:
        """Lengthen the lease; register again if it was lost. Any thread may call it."""
        if self._is_closed:
            return

        def unit(transaction: Transaction) -> bool:
            if not transaction.run(
                "UPDATE consumer SET lease_until=? WHERE id=?",
                transaction.now_at + LEASE_S,
                self._consumer_id,
            ):
                return False
            known_count = transaction.first(
                "SELECT count(*) FROM subscription WHERE consumer=?", self._consumer_id
            )[0]
            return bool(known_count == len(self._queue_ids))

        if not self._store.main.write(unit):
            self._registered()
        sweep.sweep_if_due(self._store)
        if self._found_nothing and not self._is_rested:
            # A large message has filled the caches; what is small is read again in no time.
            self._is_rested = True
            self._store.main.shrink()
            self._reader.shrink()
            freed_memory.give_back()

    def give_back(self, max_deaths: int) -> GivenBack:
        """Find consumers that died and give back what they held.

        What is `lost` is in our hands until it is settled: settle it (ACK) in the exchange that
        writes its report, and it is reported even if this worker dies in between.
        """
        host, now_at = this_host(), self._store.clock.now()
        known = self._store.main.read(reap.consumers)
        dead = [
            row
            for row in known
            if row.consumer_id != self._consumer_id
            and reap.is_dead(row, host, now_at, self._worker_name)
        ]
        dead.extend(
            reap.ConsumerRow(consumer_id, "", 0, "", "", "poll:", 0.0)
            for consumer_id in self._store.main.read(reap.orphans)
        )
        if not dead:
            return GivenBack()
        consumer_id, reaped = self._store.main.write(partial(self._give_back, dead, max_deaths))
        reap.clear_bells(reaped.bells)
        self._found_nothing = False
        return GivenBack(
            returned_count=reaped.returned_count,
            lost=tuple(cycle.delivery_of(row, consumer_id) for row in reaped.lost),
            dead_lettered=tuple(
                cycle.delivery_of(row, consumer_id) for row in reaped.dead_lettered
            ),
            worker_names=tuple(dict.fromkeys(reaped.worker_names)),
        )

    def add_queue(self, queue: QueueSpec) -> None:
        """Declare a queue and consume from it too."""
        self._queues[queue.name] = queue
        self._registered()

    def cancel_queue(self, queue_name: str) -> None:
        """Consume from it no longer; what is in hand stays."""
        if self._queues.pop(queue_name, None) is None:
            return
        queue_id = self._queue_ids.get(queue_name)
        self._queue_ids = {k: v for k, v in self._queue_ids.items() if k != queue_name}
        if queue_id is None:
            return

        def unit(transaction: Transaction) -> None:
            transaction.run(
                "DELETE FROM subscription WHERE queue_id=? AND consumer=?",
                queue_id,
                self._consumer_id,
            )
            reap.leave_queues(transaction, [queue_id])

        self._store.main.write(unit)

    def close(self) -> None:
        """Return what was not started and leave. What is started and not settled stays on record
        for the next `give_back` of anybody. May be called twice.
        """
        if self._is_closed:
            return
        self._is_closed = True
        try:
            if self._pid == os.getpid():
                self._store.main.write(self._leave)
        finally:
            self._bell.close()
            self._reader.close()

    def before_fork(self) -> None:
        """Nothing is shared that a fork could tear."""

    def after_fork(self, *, is_child: bool) -> None:
        """A child must not keep its parent's bell alive."""
        if is_child:
            self._bell.abandon()
            self._is_closed = True

    def _registered(self) -> int:
        """Make sure of our row and subscriptions, and return our number."""
        with self._registering:
            consumer_id, queue_ids = self._store.main.write(self._register)
            self._consumer_id, self._queue_ids = consumer_id, queue_ids
            self._found_nothing = False
            return consumer_id

    def _register(self, transaction: Transaction) -> tuple[int, dict[str, int]]:
        host = this_host()
        self._refuse_other_kernel(transaction, host.boot_id)
        consumer_id = self._consumer_id
        row = transaction.first("SELECT 1 FROM consumer WHERE id=?", consumer_id)
        if row is None:
            transaction.run(
                "INSERT INTO consumer (worker_name, pid, host, boot_id, bell, lease_until)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                self._worker_name,
                host.pid,
                host.name,
                host.boot_id,
                self._bell.address,
                transaction.now_at + LEASE_S,
            )
            consumer_id = int(transaction.first("SELECT last_insert_rowid()")[0])
        queue_ids = {
            name: bindings.declare(transaction, queue) for name, queue in list(self._queues.items())
        }
        transaction.run_many(
            "INSERT OR IGNORE INTO subscription (queue_id, consumer) VALUES (?, ?)",
            [(queue_id, consumer_id) for queue_id in queue_ids.values()],
        )
        return consumer_id, queue_ids

    def _refuse_other_kernel(self, transaction: Transaction, boot_id: str) -> None:
        row = transaction.first(
            "SELECT host, lease_until FROM consumer WHERE boot_id<>? AND lease_until>?",
            boot_id,
            transaction.now_at,
        )
        if row is not None:
            raise OperationalError(
                f"{self._store.location.path}: a worker on another kernel ({row[0]}: a second"
                " machine, a virtual machine, or this one before its restart) has a lease for"
                f" {row[1] - transaction.now_at:.0f} s more; one file serves one machine, use"
                " redis:// for several"
            )

    def _cycle(
        self, plan: cycle.Plan, wanted: int, transaction: Transaction
    ) -> tuple[int, list[Any] | None]:
        """The unit of work of one exchange; None for the claim when our row is gone."""
        cycle.carry_out(transaction, plan, self._worker_name, self._bells)
        consumer_id = self._consumer_id
        if wanted <= 0:
            return consumer_id, []
        # Without a row nobody could tell that what we claim now is held by the dead.
        if transaction.first("SELECT 1 FROM consumer WHERE id=?", consumer_id) is None:
            return consumer_id, None
        return consumer_id, cycle.claim(transaction, consumer_id, self._next_turn(), wanted)

    def _next_turn(self) -> list[int]:
        """Return the queues in this cycle's order: a full one must not starve the others."""
        queue_ids = list(self._queue_ids.values())
        self._turn += 1
        first = self._turn % max(1, len(queue_ids))
        return queue_ids[first:] + queue_ids[:first]

    def _give_back(
        self, dead: list[reap.ConsumerRow], max_deaths: int, transaction: Transaction
    ) -> tuple[int, reap.Reaped]:
        consumer_id = self._consumer_id
        return consumer_id, reap.give_back(transaction, dead, consumer_id, max_deaths)

    def _leave(self, transaction: Transaction) -> None:
        consumer_id = self._consumer_id
        bindings.ring_for(transaction, self._queue_ids.values())
        transaction.rings.discard(self._bell.address)
        waiting = transaction.rows(
            "SELECT consumer, id FROM held WHERE consumer=? AND started_at IS NULL", consumer_id
        )
        places.release(transaction, waiting, death_count=0)
        if transaction.first("SELECT 1 FROM held WHERE consumer=? LIMIT 1", consumer_id):
            transaction.run("UPDATE consumer SET lease_until=0 WHERE id=?", consumer_id)
            return
        reap.remove(transaction, consumer_id)

    def _may_find(self) -> bool:
        """Return whether there is something to claim; asks little when nothing was written."""
        now_at = self._store.clock.now()
        if self._next_due_at is not None and self._next_due_at <= now_at:
            self._found_nothing = False
        version = self._reader.version()
        if self._found_nothing and version == self._seen_version:
            return False
        is_ready = self._reader.read(partial(self._look, now_at))
        self._seen_version, self._found_nothing = version, not is_ready
        return is_ready

    def _look(self, now_at: float, connection: sqlite3.Connection) -> bool:
        for queue_id in list(self._queue_ids.values()):
            if first(
                connection,
                "SELECT 1 FROM ready CROSS JOIN message ON message.id=ready.id"
                " WHERE ready.queue_id=? AND (expires_at IS NULL OR expires_at>?) LIMIT 1",
                queue_id,
                now_at,
            ):
                return True
        self._next_due_at = self._due_of(connection)
        return self._next_due_at is not None and self._next_due_at <= now_at

    def _due_of(self, connection: sqlite3.Connection) -> float | None:
        statement = "SELECT min(due) FROM message INDEXED BY message_due WHERE queue_id=? AND due>0"
        found = (
            first(connection, statement, queue_id)[0] for queue_id in list(self._queue_ids.values())
        )
        return min((due for due in found if due is not None), default=None)

    def _longest_wait_s(self) -> float:
        if self._bell.fileno() is None:
            longest_s = self._poll_s
            self._poll_s = min(self._poll_s * 2, _LONGEST_POLL_S)
        else:
            longest_s = BACKSTOP_S
        if self._next_due_at is not None:
            longest_s = min(longest_s, max(0.0, self._next_due_at - self._store.clock.now()))
        return longest_s

    def _bell_rings(self, timeout_s: float) -> bool:
        if self._bell.fileno() is not None:
            return self._bell.wait(timeout_s)
        self._store.clock.sleep(timeout_s)
        return False
