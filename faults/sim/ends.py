"""The ends of a simulated worker's wires: consumer, store and events, with what goes wrong.

Each call may fail before it took effect, lose its answer after it did, be slow, or be the last
thing its worker does. A consumer keeps the port's promise over that, as the real ones do: what
failed "took no effect", so it finds out later what an exchange with a lost answer has done.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from faults.sim.server import Holder, Server
from tqconsole.engine.brokers.base import Consumer
from tqconsole.engine.exceptions import OperationalError
from tqconsole.engine.protocol.transfer import (
    Delivery,
    GivenBack,
    Handover,
    Publication,
    QueueSpec,
    ResultWrite,
    Riding,
    Settlement,
    Verdict,
)

#: Seconds a lease lasts, as on Redis.
LEASE_S = 13.0
#: Seconds after which exchanges are answered, one after the other, where they are not at once.
_ANSWERS_S = (0.0002, 0.002, 0.03)


class Wire(Protocol):
    """What a worker's calls go through: it raises `Crash` or `OperationalError` at times."""

    #: "redis", "sqlite" or "amqp".
    kind: str
    server: Server

    def leave(self) -> None:
        """Before a call takes effect."""
        ...

    def is_swallowed(self) -> bool:
        """True when what was written never arrives, and nobody knows it yet."""
        ...

    def arrive(self) -> None:
        """After it took effect, before the caller hears of it."""
        ...

    def after(self, delay_s: float, work: Callable[[], None]) -> None:
        """Do something later, and wake the worker for it."""
        ...


@dataclass(slots=True)
class Doubt:
    """An exchange of which nobody told us whether it took effect."""

    publications: tuple[Publication, ...]
    is_done: bool
    brought: list[Delivery] = field(default_factory=list)
    #: Its answer has come; what was written behind it found the connection broken.
    is_answered: bool = False
    is_cut: bool = False


class SimConsumer(Consumer):
    """A hold on the queues of a simulated broker."""

    def __init__(self, wire: Wire, holder: Holder, fileno: int, *, is_late: bool = False) -> None:
        """`is_late`: exchanges are answered later."""
        self.holder = holder
        self.has_rung = True
        self._wire = wire
        self._server = wire.server
        self._fileno = fileno
        self._doubt: Doubt | None = None
        self._flight: Doubt | None = None
        self._answers_s = itertools.cycle(_ANSWERS_S) if is_late else None
        self._forfeited: list[str] = []
        #: Tags that the worker was told it has no more.
        self.told: list[str] = []
        #: Attempts that ended here when their message was somebody else's again (AMQP).
        self._ended: set[tuple[str, int]] = set()
        self._lost: dict[str, tuple[str, int]] = {}
        #: Of the caller's publications, what is written although the exchange has failed.
        self._written: tuple[Publication, ...] = ()
        self._untold: tuple[Delivery, ...] = ()

    def exchange(
        self,
        settled: Sequence[Settlement] = (),
        started: Sequence[Handover] = (),
        wanted: int = 0,
        riding: Riding | None = None,
    ) -> list[Delivery]:
        """Both halves at once."""
        self.begin(settled, started, wanted, riding)
        return self.finish()

    def begin(
        self,
        settled: Sequence[Settlement] = (),
        started: Sequence[Handover] = (),
        wanted: int = 0,
        riding: Riding | None = None,
    ) -> None:
        """Let an exchange leave."""
        self._wire.leave()
        riding = riding or Riding()
        publications = riding.publications
        brought: list[Delivery] = []
        if (doubt := self._doubt) is not None:
            self._doubt = None
            brought = doubt.brought
            if doubt.is_done:
                self._written += doubt.publications
        if publications[: len(self._written)] == self._written:
            publications = publications[len(self._written) :]
        flight = Doubt(publications, is_done=not self._wire.is_swallowed())
        if flight.is_done:
            self._take_effect(settled, started, publications, riding.results)
            flight.brought = self._fetched(wanted)
        elif brought:
            # The write that asks what came of the earlier one was swallowed with it.
            self._doubt = Doubt((), is_done=False, brought=brought)
            brought = []
        flight.brought = brought + flight.brought
        self._flight = flight
        if self._answers_s is not None:
            self._wire.after(next(self._answers_s), lambda: setattr(flight, "is_answered", True))

    @property
    def answers_later(self) -> bool:
        """While an exchange is under way."""
        return self._answers_s is not None and self._flight is not None

    def has_answered(self) -> bool:
        """Once its time is over, or nothing is to come of it any more."""
        flight = self._flight
        return flight is None or flight.is_answered or flight.is_cut

    @property
    def is_ready(self) -> bool:
        """Whether the descriptor tells of something."""
        return self.has_rung or (self.answers_later and self.has_answered())

    def _take_effect(
        self,
        settled: Sequence[Settlement],
        started: Sequence[Handover],
        publications: Sequence[Publication],
        results: Sequence[ResultWrite],
    ) -> None:
        server, holder = self._server, self.holder
        server.store(results)
        server.publish(publications)
        for each in settled:
            run = self._lost.pop(each.tag, None)
            if run is not None and each.verdict is Verdict.ACK:
                self._ended.add(run)
        server.settle(holder, settled)
        server.start(holder, started)
        server.renew(holder, LEASE_S)

    def _fetched(self, wanted: int) -> list[Delivery]:
        if wanted <= 0:
            return []
        self.has_rung = False
        found = self._server.fetch(self.holder, wanted)
        known = [it for it in found if it.is_redelivered and _run_of(it) in self._ended]
        if not known:
            return found
        self._ended -= {_run_of(it) for it in known}
        self._server.settle(self.holder, [Settlement(it.tag, Verdict.ACK) for it in known])
        kept = [it for it in found if it not in known]
        # What was known leaves its place to the next.
        return kept + self._fetched(wanted - len(kept))

    def start(self, started: Sequence[Handover]) -> None:
        """Note what starts; what breaks it has broken what is under way, too."""
        try:
            self._wire.leave()
            if self._wire.is_swallowed():
                self._cut_flight()
                return
        except OperationalError:
            self._cut_flight()
            raise
        self._server.start(self.holder, started)

    def _cut_flight(self) -> None:
        if self._flight is not None:
            self._flight.is_cut = True

    def finish(self) -> list[Delivery]:
        """Take the answer of the exchange that was begun."""
        flight = self._flight
        if flight is None:
            return []
        try:
            # A cut takes what it brought along (AMQP): it is still in flight then.
            self._hear_of(flight)
        except OperationalError:
            if self._doubt is not None:
                flight.brought = self._doubt.brought + flight.brought
            self._doubt = flight
            raise
        finally:
            self._flight = None
        self._written = ()
        return flight.brought

    def _hear_of(self, flight: Doubt) -> None:
        if flight.is_cut or not flight.is_done:
            raise OperationalError("simulated: the connection broke")
        self._wire.arrive()

    def cut(self) -> None:
        """The connection is lost, and with it all that we had (AMQP)."""
        for tag, item in list(self.holder.held.items()):
            self._lost[tag] = (item.task_id, int(item.message.headers.get("retries") or 0))
        self._forfeited += self._server.cut(self.holder)
        if self._doubt is not None:
            self._doubt.brought.clear()
        if self._flight is not None:
            self._flight.brought.clear()

    def forfeited(self) -> list[str]:
        """What a cut has taken from us."""
        taken, self._forfeited = self._forfeited, []
        self.told += taken
        return taken

    def wait(self, timeout_s: float) -> bool:
        """Nobody waits here: the loop sleeps on the descriptor."""
        raise AssertionError("a simulated consumer has a descriptor")

    def fileno(self) -> int:
        """A number that the simulated selector knows."""
        return self._fileno

    def next_due_at(self) -> float | None:
        """As the broker knows it."""
        return self._server.next_due_at(self.holder.queues)

    def park(self, due: Sequence[tuple[str, float]]) -> None:
        """One call of its own; parking twice changes nothing."""
        self._wire.leave()
        if self._wire.is_swallowed():
            raise OperationalError("simulated: the connection broke")
        self._server.park(self.holder, due)
        self._wire.arrive()

    def renew(self) -> None:
        """Say that it lives."""
        self._wire.leave()
        self._server.renew(self.holder, LEASE_S)
        self._wire.arrive()

    def give_back(self, max_deaths: int) -> GivenBack:
        """Look after the dead."""
        self._wire.leave()
        given = self._server.give_back(self.holder, max_deaths)
        # What was taken over and not told, since the answer was lost, is told the next time.
        given = msgspec.structs.replace(given, lost=self._untold + given.lost)
        self._untold = given.lost
        self._wire.arrive()
        self._untold = ()
        return given

    def add_queue(self, queue: QueueSpec) -> None:
        """Consume from it too."""
        self.holder.queues.append(queue.name)

    def cancel_queue(self, queue_name: str) -> None:
        """No longer."""
        self.holder.queues.remove(queue_name)

    def close(self) -> None:
        """Return what did not start."""
        self._server.leave(self.holder)


class SimStore:
    """A result store with the same troubles."""

    is_enabled = True

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def store(self, writes: Sequence[ResultWrite]) -> None:
        """Write records."""
        self._wire.leave()
        if self._wire.is_swallowed():
            raise OperationalError("simulated: the store does not answer")
        self._wire.server.store(writes)
        self._wire.arrive()

    def write(self, task_ids: Sequence[str]) -> None:
        """Record ids that were revoked while nobody had them."""
        self._wire.leave()
        for task_id in task_ids:
            self._wire.server.results.setdefault(task_id, "REVOKED")


class SimDispatcher:
    """Where events go: they may be lost, and nothing else."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def send_many(self, events: Sequence[tuple[str, dict[str, Any]]]) -> None:
        """Send what happened."""
        self._wire.leave()


def _run_of(delivery: Delivery) -> tuple[str, int]:
    headers = delivery.message.headers
    return str(headers.get("id")), int(headers.get("retries") or 0)
