"""What really happened in a simulated world, and the rules that must hold at every step of it.

Every start, end, acknowledgement and report passes here. A rule that is broken ends the run at that
very step, with the seed that leads there again.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from faults.sim.server import Item, Server
from tqconsole.engine.protocol.transfer import Verdict

#: Seconds after which a revoked task must not begin any more (design §6).
REVOKED_S = 1.0
#: States of a record by which a message may be acknowledged: the attempt has ended.
ENDED_STATES = frozenset({"SUCCESS", "FAILURE", "REVOKED", "RETRY"})


class BrokenRuleError(BaseException):  # no `except Exception` of the engine may hold it up
    """An invariant does not hold."""


@dataclass(slots=True)
class Task:
    """One published task and its history."""

    task_id: str
    name: str
    is_late: bool
    published_at: float
    eta_at: float | None = None
    expires_at: float | None = None
    stores_result: bool = True
    has_child: bool = False
    revoked_at: float | None = None
    start_count: int = 0
    end_count: int = 0
    #: Reasons for which it may begin once more: deaths, lost leases, cut links, retries.
    licences: list[str] = field(default_factory=list)
    #: Its run ended, and by the rules its message may be acknowledged.
    is_over: bool = False
    #: A worker died that had acknowledged it early.
    is_orphan: bool = False
    #: Its message left when it was revoked or had expired: what a run before that owed (a link, of
    #: a worker that died between storing and sending it) is not sent any more.
    is_called_off: bool = False


class Account:
    """The ledger of a world."""

    def __init__(self) -> None:
        self.tasks: dict[str, Task] = {}
        self.dup_count = 0
        self.check_count = 0

    def require(self, holds: bool, text: str) -> None:  # noqa: FBT001 - reads as a sentence
        """Raise BrokenRuleError with this text when something does not hold."""
        self.check_count += 1
        if not holds:
            raise BrokenRuleError(text)

    def license(self, item: Item, why: str) -> None:
        """This message may begin once more."""
        task = self.tasks.get(item.task_id)
        if task is not None:
            task.licences.append(why)

    def begins(self, task_id: str, at: float, skew_s: float, revoked_at: float | None) -> None:
        """A run begins; its worker heard at `revoked_at` that it should not."""
        task = self.tasks[task_id]
        task.start_count += 1
        extra_count = task.start_count - 1
        self.dup_count += extra_count > 0
        self.require(
            extra_count <= len(task.licences),
            f"{task_id} begins {task.start_count} times without a reason ({task.licences})",
        )
        self.require(
            task.eta_at is None or at >= task.eta_at - skew_s - 0.001,
            f"{task_id} begins {(task.eta_at or 0) - at:.3f}s before its time",
        )
        self.require(
            task.expires_at is None or at <= task.expires_at + skew_s + 0.5,
            f"{task_id} begins {at - (task.expires_at or 0):.3f}s after it expired",
        )
        self.require(
            revoked_at is None or at <= revoked_at + REVOKED_S,
            f"{task_id} begins {at - (revoked_at or 0):.3f}s after it was revoked",
        )

    def ends(self, task_id: str) -> None:
        """A run has come to its end."""
        task = self.tasks[task_id]
        task.end_count += 1
        task.is_over = True

    def left(self, item: Item, verdict: Verdict, server: Server, until: float) -> None:
        """A message leaves the broker for good; what expires until `until` has expired."""
        task = self.tasks.get(item.task_id)
        if task is None:
            self.require(verdict is Verdict.DEAD, f"{item.task_id!r}, no task, was acknowledged")
            return
        if verdict is Verdict.DEAD:
            self.require(bool(item.reason), f"{task.task_id} is a dead letter without a reason")
            task.is_over = True
            return
        state = server.results.get(task.task_id)
        is_revoked = task.revoked_at is not None or (task.expires_at or until) < until
        task.is_called_off = is_revoked
        self.require(
            task.is_over or is_revoked or task.is_orphan or state in ENDED_STATES,
            f"{task.task_id} was acknowledged and has neither run nor been reported",
        )
        self.require(
            state in ENDED_STATES or not task.stores_result,
            f"{task.task_id} was acknowledged before its result was stored (state {state})",
        )

    def paces(self, worker_name: str, count: int, alive_s: float, rate_per_s: float) -> None:
        """The `count`-th rate-limited run begins in a worker that lives for `alive_s`."""
        most = alive_s * rate_per_s + 2
        self.require(count <= most, f"{worker_name} began {count} limited tasks, not {most:.1f}")

    def settle(self, server: Server, *, reports: bool) -> None:
        """The equation at the end: every published task has come to one of its ends."""
        published_ids = {item.task_id for item in server.items}
        # A link is known here before its parent's end is written.
        for task in [self.tasks[task_id] for task_id in self.tasks if task_id in published_ids]:
            state = server.results.get(task.task_id)
            self.require(
                task.is_over
                or task.revoked_at is not None
                or state in ENDED_STATES
                or (task.is_orphan and not reports)
                or task.expires_at is not None,
                f"{task.task_id} is lost: began {task.start_count}, ended {task.end_count}",
            )
            if task.is_orphan and not task.end_count and reports:
                self.require(
                    state in ENDED_STATES, f"{task.task_id} died with its worker, unreported"
                )
            if task.end_count and task.stores_result and not task.is_orphan:
                self.require(state is not None, f"{task.task_id} ended and has no result")
            if task.has_child and state == "SUCCESS" and not task.is_called_off:
                self.require(
                    f"child-of-{task.task_id}" in published_ids, f"{task.task_id} lost its link"
                )
