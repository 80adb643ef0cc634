"""The world: time, tasks, troubles, and the rules looked after at every step."""

from __future__ import annotations

import heapq
import itertools
import signal
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from random import Random

from faults.sim.account import Account, Task
from faults.sim.ends import LEASE_S, SimConsumer, SimDispatcher, SimStore
from faults.sim.pool import SimPool
from faults.sim.server import Holder, Item, Place, Server
from faults.sim.weather import Weather
from faults.sim.worker import MAX_DEATHS, CrashError, Setting, SimWorker
from tqconsole.engine.exceptions import OperationalError
from tqconsole.engine.pools.base import Job
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.transfer import Publication, ResultWrite
from tqconsole.engine.worker.machine_options import MachineOptions, TaskPolicy
from tqconsole.engine.worker.outcome import Outcome
from tqconsole.engine.worker.values import RevokeAsked

EPOCH_S = 1_800_000_000.0
#: Seconds of a turn of the loop; of a lease's renewal; of a restart.
TURN_S, RENEW_S = 0.000_2, 5.0
#: Seconds between two looks whether everything has ended.
LOOK_S = 0.1
#: Seconds until everything must have ended when nothing goes wrong any more.
DRAIN_S = 240.0
#: Seconds a free slot may wait for what is ready: the bell at once, and the safety look after 5 s.
SERVED_S, DEAF_SERVED_S = 1.5, 9.0
#: Seconds a stop may take beyond what runs: the last tries at a broker that is away take ten.
STOP_S = 30.0
RATE_PER_S = 20.0

POLICIES = {
    policy.task_name: policy
    for policy in (
        TaskPolicy("fast"),
        TaskPolicy("late", acks_late=True),
        TaskPolicy("slow", acks_late=True),
        TaskPolicy("slow_early"),
        TaskPolicy("rated", rate_per_s=RATE_PER_S),
        TaskPolicy("limited", hard_limit_s=1.0),
        TaskPolicy("poison", acks_late=True),
        TaskPolicy("again", acks_late=True),
        TaskPolicy("linked", acks_late=True),
        TaskPolicy("failing"),
        TaskPolicy("rejected", acks_late=True),
        TaskPolicy("silent", ignores_result=True),
    )
}
NAMES = [
    *["fast"] * 6, *["late"] * 5, "slow", "slow_early", *["rated"] * 2, "limited", "poison",
    "again", *["linked"] * 2, "failing", "rejected", "silent", "nosuch", "junk",
]  # fmt: skip


class World:
    """One history. `run` lives it to its end, or raises BrokenRuleError."""

    def __init__(self, seed: int, weather: Weather) -> None:
        self.random = Random(seed)
        self.weather = weather
        self.kind = weather.kind
        self.account = Account()
        self.server = Server(
            lambda: EPOCH_S + self._mono,
            on_left=lambda item, verdict: self.account.left(
                item, verdict, self.server, EPOCH_S + self._mono + weather.skew_s
            ),
            on_ready=self._ring,
            records_early=weather.kind != "amqp",
        )
        self.workers: dict[str, SimWorker | None] = {}
        self.is_calm = self.is_ending = False
        self.down_until = 0.0
        self.turn_count = self.death_count = 0
        self._mono = 1000.0
        self._sequence = itertools.count()
        self._filenos = itertools.count(100)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._made = itertools.count(1)

    # --- time ---------------------------------------------------------------------------------

    def mono(self) -> float:
        """Return the world's time."""
        return self._mono

    def after(self, delay_s: float, work: Callable[[], None]) -> None:
        """Do something later."""
        heapq.heappush(self._events, (self._mono + delay_s, next(self._sequence), work))

    def _pass_until(self, until_mono: float, is_over: Callable[[], bool] = lambda: False) -> None:
        while self._events and self._events[0][0] <= until_mono and not is_over():
            at, _, work = heapq.heappop(self._events)
            self._mono = max(self._mono, at)
            work()
        if not is_over():
            self._mono = max(self._mono, until_mono)

    # --- the history --------------------------------------------------------------------------

    def run(self) -> None:
        """Storm, drain, stop."""
        weather = self.weather
        for number in range(weather.worker_count):
            self._start_worker(f"w{number}@sim")
        for _ in range(weather.task_count):
            self.after(self.random.uniform(0, weather.storm_s), self._publish)
        self._plan_troubles()
        self._pass_until(self._mono + weather.storm_s)
        self._calm_down()
        self._drain()
        self._check_drained()
        self._stop_all()

    def _drain(self) -> None:
        until_mono = self._mono + DRAIN_S
        while self._mono < until_mono and not self._is_drained():
            self._pass_until(min(until_mono, self._mono + LOOK_S))

    def _calm_down(self) -> None:
        self.is_calm = True
        self.down_until = 0.0
        for name, worker in self.workers.items():
            if worker is None:
                self._start_worker(name)
            elif worker.frozen_until > self._mono:
                worker.frozen_until = self._mono
                self._schedule(worker, 0.0)

    def _plan_troubles(self) -> None:
        weather = self.weather
        for rate, trouble in (
            (weather.kill_rate, self._kill_one),
            (weather.freeze_rate, self._freeze_one),
            (weather.child_kill_rate, self._kill_child),
            (weather.outage_rate, self._break_broker),
            (weather.revoke_rate, self._revoke_one),
            (weather.stop_rate, self._stop_one),
        ):
            at_s = 0.0
            while rate and (at_s := at_s + self.random.expovariate(rate)) < weather.storm_s:
                self.after(at_s, trouble)

    # --- tasks --------------------------------------------------------------------------------

    def _publish(self) -> None:
        random, name = self.random, self.random.choice(NAMES)
        task_id = f"{name}-{next(self._made)}"
        now_at = EPOCH_S + self._mono
        delay_s = random.choice([0, 0, 0, 0, 0.4, 3.0, 12.0])
        eta_at = now_at + delay_s if delay_s else None
        expires_at = now_at + random.choice([0.01, 2.0, 8.0]) if random.random() < 0.1 else None
        self.server.publish([self._call(name, task_id, eta_at, expires_at)])

    def _call(
        self, name: str, task_id: str, eta_at: float | None, expires_at: float | None
    ) -> Publication:
        queue = self.random.choice(["celery", "celery", "other"])
        priority = self.random.choice([0, 0, 5, 9])
        if name == "junk":
            headers = {"id": ["no", "id"], "task": self.random.choice(["late", None, 3])}
            return Publication(Message(b"\xff{", headers=headers), queue)
        policy = POLICIES.get(name)
        self.account.tasks[task_id] = Task(
            task_id,
            name,
            is_late=bool(policy and policy.acks_late),
            published_at=EPOCH_S + self._mono,
            eta_at=eta_at,
            expires_at=expires_at,
            stores_result=name != "silent",
            has_child=name == "linked",
        )
        return self._message(name, task_id, eta_at, expires_at, queue, priority)

    def _message(
        self,
        name: str,
        task_id: str,
        eta_at: float | None,
        expires_at: float | None,
        queue: str,
        priority: int,
        retries: int = 0,
    ) -> Publication:
        headers = {
            "lang": "py",
            "task": name,
            "id": task_id,
            "root_id": task_id,
            "retries": retries,
            "eta": _iso(eta_at),
            "expires": _iso(expires_at),
            "timelimit": [None, None],
        }
        properties = {"correlation_id": task_id, "priority": priority}
        body = b"[[], {}, {}]"
        return Publication(Message(body, "application/json", "utf-8", headers, properties), queue)

    def hand_over(self, worker: SimWorker, jobs: Sequence[Job]) -> None:
        """Jobs leave for a child: none whose message the worker knows to be gone."""
        running = worker.machine.hand.running
        for entry in (running[job.job_id] for job in jobs if job.job_id in running):
            self.account.require(
                entry.delivery.tag not in worker.known_gone,
                f"{entry.header.task_id} is handed over, and its message was taken back before",
            )

    def begin_run(self, worker: SimWorker, job: Job) -> float:
        """A run begins in a child of this worker."""
        headers = job.payload.message.headers
        name, task_id = headers["task"], headers["id"]
        revoked_at = worker.heard.get(task_id)
        self.account.begins(task_id, EPOCH_S + self._mono, self.weather.skew_s, revoked_at)
        if name == "rated":
            worker.rated_count += 1
            alive_s = self._mono - worker.born_mono
            self.account.paces(worker.setting.name, worker.rated_count, alive_s, RATE_PER_S)
        random = self.random
        match name:
            case "poison":
                return -random.uniform(0.001, 0.05)
            case "slow" | "slow_early":
                return random.uniform(0.5, 3.0)
            case "limited":
                return random.choice([0.01, 5.0])
            case _:
                return random.choice([0.000_05, 0.000_3, 0.002, 0.05])

    def end_run(self, job: Job) -> Outcome:
        """It has ended: its record, and what it leaves behind."""
        message = job.payload.message
        name, task_id = message.headers["task"], message.headers["id"]
        task, runtime_s = self.account.tasks[task_id], 0.001
        if name == "again" and message.headers["retries"] < 2:
            return self._retry(task, message)
        if name == "rejected" and task.end_count == 0:
            task.end_count += 1
            task.licences.append("requeued")
            return Outcome("REJECTED", runtime_s, is_requeued=True)
        self.account.ends(task_id)
        if name == "failing":
            return Outcome("FAILURE", runtime_s, results=(_record(task_id, "FAILURE"),))
        results = () if name == "silent" else (_record(task_id, "SUCCESS"),)
        publications: tuple[Publication, ...] = ()
        if name == "linked":
            publications = (self._child_of(task_id),)
        return Outcome("SUCCESS", runtime_s, results=results, publications=publications)

    def _retry(self, task: Task, message: Message) -> Outcome:
        task.licences.append("retry")
        task.is_over = True
        eta_at = EPOCH_S + self._mono + self.random.choice([0.2, 2.0])
        retries = int(message.headers["retries"]) + 1
        expires_at = task.expires_at
        again = self._message("again", task.task_id, eta_at, expires_at, "celery", 0, retries)
        record = _record(task.task_id, "RETRY")
        return Outcome("RETRY", 0.001, results=(record,), publications=(again,))

    def _child_of(self, task_id: str) -> Publication:
        child_id = f"child-of-{task_id}"
        child = self.account.tasks.get(child_id)
        if child is None:
            return self._call("late", child_id, None, None)
        # Its parent ran once more: the same link is sent once more.
        child.licences.append("parent")
        return self._message("late", child_id, None, None, "celery", 0)

    # --- workers ------------------------------------------------------------------------------

    def _start_worker(self, name: str) -> None:
        if self.workers.get(name) is not None:
            return
        weather = self.weather
        for holder in self.server.holders:
            if holder.worker_name == name and holder.is_dead:
                holder.lease_until = EPOCH_S + self._mono  # its own earlier life
        holder = Holder(name, ["celery", "other"])
        if self.kind == "redis":
            holder.lease_until = EPOCH_S + self._mono + LEASE_S
        self.server.join(holder)
        wire = _Wire(self, name)
        late = weather.starts_beside
        consumer = SimConsumer(wire, holder, next(self._filenos), is_late=late)
        options = MachineOptions(
            name,
            prefetch_multiplier=weather.prefetch_multiplier,
            fetches_ahead=weather.fetches_ahead,
            follows_batches=SimPool.takes_behind,
            starts_beside=weather.starts_beside,
            store_rides=weather.store_rides,
            grace_s=weather.grace_s,
            max_deaths=MAX_DEATHS,
        )
        ground = _Ground(self)
        pool = SimPool(ground, weather.slot_count, next(self._filenos))
        worker = SimWorker(
            Setting(name, options, POLICIES, can_give_back=self.kind != "amqp"),
            consumer,
            SimStore(wire),
            SimDispatcher(wire),
            pool,
            wire,
            Random(self.random.random()),
        )
        ground.worker = wire.worker = worker
        self.workers[name] = worker
        self._schedule(worker, 0.0)
        self.after(RENEW_S, lambda: self._renew(worker))

    def _schedule(self, worker: SimWorker, delay_s: float) -> None:
        at = self._mono + delay_s
        worker.next_turn_mono = at
        self.after(delay_s, lambda: self._turn(worker, at))

    def _turn(self, worker: SimWorker, at: float) -> None:
        if not worker.is_alive or worker.next_turn_mono != at:
            return
        if worker.frozen_until > self._mono:
            self._schedule(worker, worker.frozen_until - self._mono)
            return
        self.turn_count += 1
        wire: _Wire = worker.clock
        wire.lag_s = 0.0
        try:
            sleep_s = worker.turn()
            if worker.has_exited:
                self._leave(worker)
                return
        except CrashError:
            self.die(worker)
            return
        self._look_after(worker, sleep_s)
        if sleep_s and not worker.is_rung:
            self._schedule(worker, wire.lag_s + sleep_s)
        else:
            self._schedule(worker, wire.lag_s + TURN_S)

    def wake(self, worker: SimWorker | None) -> None:
        """Something rings for a worker that may be asleep."""
        if worker is not None and worker.is_alive:
            at = self._mono + TURN_S
            if worker.next_turn_mono > at:
                self._schedule(worker, TURN_S)

    def _ring(self, queue: str) -> None:
        for worker in self.workers.values():
            if worker is None or queue not in worker.consumer.holder.queues:
                continue
            if not self.is_calm and self.random.random() < self.weather.deaf_ratio:
                continue
            worker.consumer.has_rung = True
            self.wake(worker)

    def _renew(self, worker: SimWorker) -> None:
        """The heart's thread: it beats while the process does."""
        if not worker.is_alive or worker.has_exited:
            return
        if worker.frozen_until > self._mono:
            self.after(worker.frozen_until - self._mono, lambda: self._renew(worker))
            return
        try:
            worker.consumer.renew()
        except OperationalError:
            pass
        except CrashError:
            self.die(worker)
            return
        self.after(RENEW_S, lambda: self._renew(worker))

    def _leave(self, worker: SimWorker) -> None:
        worker.end()
        holder = worker.consumer.holder
        if worker.carrier.exit_code == 0:
            self.account.require(not holder.held, f"{worker.setting.name} left and kept something")
        name = worker.setting.name
        self.workers[name] = None
        if not self.is_ending:
            self.after(self.random.uniform(0.1, 3.0), lambda: self._start_worker(name))

    def die(self, worker: SimWorker) -> None:
        """The whole group of a worker is killed."""
        self.death_count += 1
        worker.is_alive = False
        worker.pool.stop(0)
        holder = worker.consumer.holder
        for item in holder.held.values():
            self._loses(item, "its worker died")
        for item in holder.unrecorded:
            if item.task_id not in self.server.results:
                self.account.tasks[item.task_id].is_orphan = True
        holder.is_dead = True
        if self.kind == "amqp":
            self.server.cut(holder)
            self.server.holders.remove(holder)
        elif self.kind == "sqlite":
            holder.lease_until = EPOCH_S + self._mono
        name = worker.setting.name
        self.workers[name] = None
        self.after(self.random.uniform(0.1, 3.0), lambda: self._start_worker(name))

    def _loses(self, item: Item, why: str) -> None:
        if not item.is_acked:
            self.account.license(item, why)
        else:
            self._orphan(item.task_id)

    def _orphan(self, task_id: str) -> None:
        task = self.account.tasks.get(task_id)
        if task is not None and not task.is_late and not task.is_over:
            task.is_orphan = True

    # --- troubles -----------------------------------------------------------------------------

    def _some_worker(self) -> SimWorker | None:
        alive = [worker for worker in self.workers.values() if worker is not None]
        return self.random.choice(alive) if alive and not self.is_calm else None

    def _kill_one(self) -> None:
        if (worker := self._some_worker()) is not None:
            self.die(worker)

    def _freeze_one(self) -> None:
        worker = self._some_worker()
        if worker is None:
            return
        frozen_s = self.random.choice([0.5, 5.0, 20.0, 40.0])
        worker.frozen_until = self._mono + frozen_s
        if self.kind == "redis" and frozen_s > LEASE_S - RENEW_S:
            # Others may take what it has: "a process that is stopped may see one extra run".
            for item in worker.consumer.holder.held.values():
                self.account.license(item, "its worker was stopped beyond its lease")

    def _kill_child(self) -> None:
        worker = self._some_worker()
        busy = [slot for slot in worker.pool.slots if slot.jobs] if worker else []
        if worker is None or not busy:
            return
        slot = self.random.choice(busy)
        worker.pool.kill(slot)
        self.wake(worker)

    def _break_broker(self) -> None:
        if not self.is_calm:
            self.down_until = self._mono + self.random.choice([0.5, 2.0, 6.0])

    def _revoke_one(self) -> None:
        waiting = [task for task in self.account.tasks.values() if not task.start_count]
        if not waiting or self.is_calm:
            return
        task = self.random.choice(waiting)
        # Broadcast: who is frozen or not there does not hear it, so the rule is for those who do.
        hearing = [it for it in self.workers.values() if it and it.frozen_until <= self._mono]
        task.revoked_at = EPOCH_S + self._mono
        signum = self.random.choice([None, signal.SIGTERM])
        for worker in hearing:
            worker.waker.posted.append(RevokeAsked([task.task_id], signum, is_recorded=True))
            worker.heard[task.task_id] = EPOCH_S + self._mono
            self.wake(worker)

    def _stop_one(self) -> None:
        if (worker := self._some_worker()) is not None:
            worker.stop(is_cold=self.random.random() < 0.3, at=self._mono)
            self.wake(worker)

    # --- rules --------------------------------------------------------------------------------

    def _look_after(self, worker: SimWorker, sleep_s: float) -> None:
        """What must hold after every turn."""
        hand, require = worker.machine.hand, self.account.require
        weather, name = self.weather, worker.setting.name
        in_window = hand.in_window_count()
        most = max(200, 4 * len(worker.pool.slots))
        require(in_window <= most, f"{name} has {in_window} in its window, at most {most}")
        if worker.stopped_at is not None:
            stopped_s = self._mono - max(worker.stopped_at, worker.frozen_until)
            require(stopped_s < STOP_S + weather.storm_s, f"{name} does not stop")
        self._look_for_starving(worker, sleep_s)

    def _look_for_starving(self, worker: SimWorker, sleep_s: float) -> None:
        is_served = (
            not sleep_s
            or worker.machine.is_stopping
            or worker.machine.is_failing
            or worker.pool.free_slots() == 0
            or self.server.ready_count(worker.consumer.holder.queues) == 0
        )
        if is_served:
            worker.starved_since = None
        elif worker.starved_since is None:
            worker.starved_since = self._mono
        else:
            is_deaf = self.weather.deaf_ratio > 0
            since = max(worker.starved_since, worker.frozen_until, self.down_until)
            limit_s = DEAF_SERVED_S if is_deaf else SERVED_S
            self.account.require(
                self._mono - since < limit_s,
                f"{worker.setting.name} has a free slot and fetches nothing for {limit_s} s",
            )

    def _is_drained(self) -> bool:
        return not any(
            item.place in (Place.READY, Place.HELD, Place.PARKED) for item in self.server.items
        ) and all(worker is not None and worker.has_nothing for worker in self.workers.values())

    def _check_drained(self) -> None:
        stuck = [
            item.task_id
            for item in self.server.items
            if item.place in (Place.READY, Place.HELD, Place.PARKED)
        ]
        self.account.require(not stuck, f"stuck after {DRAIN_S} s of calm: {stuck[:5]}")
        self.account.settle(self.server, reports=self.kind != "amqp")

    def _stop_all(self) -> None:
        self.is_ending = True
        for worker in list(self.workers.values()):
            if worker is not None:
                worker.stop(is_cold=self.random.random() < 0.5, at=self._mono)
                self.wake(worker)
        is_over: Callable[[], bool] = lambda: all(it is None for it in self.workers.values())  # noqa: E731 - typed
        self._pass_until(self._mono + STOP_S, is_over)
        self.account.require(is_over(), "a worker with nothing to do does not stop")


class _Ground:
    """What one worker's pool stands on."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.worker: SimWorker | None = None

    def mono(self) -> float:
        return self._world.mono()

    def after(self, delay_s: float, work: Callable[[], None]) -> None:
        def do() -> None:
            work()
            self._world.wake(self.worker)

        self._world.after(delay_s, do)

    def hand_over(self, jobs: Sequence[Job]) -> None:
        assert self.worker is not None
        self._world.hand_over(self.worker, jobs)

    def begin_run(self, job: Job) -> float:
        assert self.worker is not None
        return self._world.begin_run(self.worker, job)

    def cut_run(self, job: Job) -> None:
        headers = job.payload.message.headers
        task = self._world.account.tasks[headers["id"]]
        task.licences.append("its child died")
        task.is_over = task.is_over or not task.is_late

    def end_run(self, job: Job) -> Outcome:
        return self._world.end_run(job)

    def is_slot_dead(self) -> bool:
        world = self._world
        return not world.is_calm and world.random.random() < 0.002


class _Wire:
    """One worker's clock and its line to the broker and the store."""

    def __init__(self, world: World, name: str) -> None:
        self._world = world
        self._name = name
        self.kind = world.kind
        self.server = world.server
        self.worker: SimWorker | None = None
        #: What slow calls of this turn have cost.
        self.lag_s = 0.0
        self._skew_s = world.random.uniform(-1, 1) * world.weather.skew_s

    def now(self) -> float:
        return EPOCH_S + self._world.mono() + self.lag_s + self._skew_s

    def mono(self) -> float:
        return self._world.mono() + self.lag_s

    def sleep(self, duration_s: float) -> None:
        self.lag_s += duration_s

    def leave(self) -> None:
        world, chance = self._world, self._world.random.random
        if world.is_calm:
            return
        weather = world.weather
        if chance() < weather.crash_ratio:
            raise CrashError
        if chance() < weather.slow_ratio:
            self.lag_s += world.random.choice([0.01, 0.3, 2.0])
        if world.down_until > world.mono() or chance() < weather.fail_ratio:
            raise self._broken()

    def is_swallowed(self) -> bool:
        world = self._world
        if world.is_calm or world.random.random() >= world.weather.swallowed_ratio:
            return False
        if self.kind == "amqp":
            raise self._broken()
        return True

    def after(self, delay_s: float, work: Callable[[], None]) -> None:
        def do() -> None:
            work()
            self._world.wake(self.worker)

        self._world.after(delay_s, do)

    def arrive(self) -> None:
        world = self._world
        if world.is_calm:
            return
        if world.random.random() < world.weather.crash_ratio:
            raise CrashError
        if world.random.random() < world.weather.lost_ratio:
            raise self._broken()

    def _broken(self) -> OperationalError:
        worker = self.worker
        if self.kind == "amqp" and worker is not None:
            for item in worker.consumer.holder.held.values():
                self._world.account.license(item, "its connection was cut")
            worker.consumer.cut()
        return OperationalError("simulated: the broker is away")


def _record(task_id: str, state: str) -> ResultWrite:
    return ResultWrite(task_id, state, b"{}")


def _iso(instant_at: float | None) -> str | None:
    return None if instant_at is None else datetime.fromtimestamp(instant_at, UTC).isoformat()
