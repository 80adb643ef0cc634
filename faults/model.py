"""T-MODEL: random histories of each broker's port, held step by step against a model of it.

Two consumers publish, fetch, start, settle every way, park, purge, bury, replay, drop and leave;
the model (`faults.sim.server`, the one that T-SIM runs workers against) says what may come of each
step. Hypothesis makes the histories, the same with
every run.
"""

from __future__ import annotations

import itertools
import time
import uuid

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from faults.scenario import IN_PROCESS, Beside, Case, Report, Scenario
from faults.sim.server import Holder, Item, Place, Server
from tqconsole.engine.brokers import open_broker
from tqconsole.engine.brokers.base import Broker, Consumer
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.transfer import (
    Handover,
    Publication,
    QueueSpec,
    Settlement,
    Verdict,
)

#: Histories by depth, and the steps of each.
VOLUMES = {
    IN_PROCESS: {"ci": 60, "night": 2_000, "release": 20_000},
    "sqlite": {"ci": 20, "night": 300, "release": 5_000},
    "redis": {"ci": 20, "night": 300, "release": 5_000},
    "rabbitmq": {"ci": 5, "night": 40, "release": 1_000},
}
STEP_COUNT = 40
#: Seconds for what a server pushes.
_SOON_S = 10.0
_NAMES = ("w1@model", "w2@model")
_FAR_S = 1_000.0


class Histories(RuleBasedStateMachine):
    """One history of a queue of its own. `broker` is set by `run`."""

    broker: Broker
    step_count = 0

    def __init__(self) -> None:
        super().__init__()
        self._queue = QueueSpec(f"m{uuid.uuid4().hex}", max_priority=9)
        self._model = Server(time.time)
        self._items: dict[str, Item] = {}
        self._numbers = itertools.count()
        self._consumers: list[Consumer] = []
        self._holders: list[Holder] = []
        #: The broker's tag -> what it stands for, for each consumer.
        self._tags: list[dict[str, Item]] = []
        #: Tags of what each has settled or parked.
        self._old_tags: list[list[str]] = [[], []]
        for name in _NAMES:
            self._consumers.append(self.broker.consumer([self._queue], name))
            holder = Holder(name, [self._queue.name])
            self._model.join(holder)
            self._holders.append(holder)
            self._tags.append({})

    # --- steps --------------------------------------------------------------------------------

    @rule(count=st.integers(1, 4), priority=st.sampled_from([0, 0, 5, 9]))
    def publish(self, count: int, priority: int) -> None:
        """Publish some."""
        publications = []
        for _ in range(count):
            message = Message(
                b"[[], {}, {}]",
                headers={"id": f"i{next(self._numbers)}", "task": "t"},
                properties={"delivery_mode": 2, "priority": priority},
            )
            publications.append(Publication(message, self._queue.name))
        self.broker.publish(publications)
        for item in self._model.publish(publications):
            self._items[item.task_id] = item

    @rule(who=st.integers(0, 1), wanted=st.integers(1, 5))
    def fetch(self, who: int, wanted: int) -> None:
        """Fetch; what comes is ready, nobody else's, and as much as there is."""
        most = min(wanted, len(self._in(Place.READY)))
        other = self._consumers[1 - who]
        until = time.monotonic() + _SOON_S
        taken: list[Item] = []
        fresh: list[Item] = []
        while len(taken) < most:
            # What a server has pushed to the other one goes back when that rests. Both hearts beat,
            # as they do in workers: so it is learnt what the other one has parked.
            other.exchange()
            for consumer in self._consumers:
                consumer.renew()
            for delivery in self._consumers[who].exchange(wanted=most - len(taken)):
                item = self._items[delivery.message.headers["id"]]
                assert item.place is Place.READY, f"{item.task_id} was {item.place}"
                assert delivery.deaths == item.deaths, f"{item.task_id}: {delivery.deaths} deaths"
                assert not item.is_redelivered or delivery.is_redelivered
                self._model.hand_out(self._holders[who], item)
                self._tags[who][delivery.tag] = item
                taken.append(item)
                if not (item.is_redelivered or delivery.is_redelivered or item.due_at):
                    fresh.append(item)
            assert time.monotonic() < until, f"{most - len(taken)} of {most} did not come"
        assert len(taken) <= wanted
        self._expect_order(fresh)
        self._count()

    @rule(who=st.integers(0, 1), at=st.integers(0, 9), verdict=st.sampled_from(Verdict))
    def settle(self, who: int, at: int, verdict: Verdict) -> None:
        """Settle one of those in hand, any way."""
        tag = self._some_tag(who, at)
        if tag is None:
            return
        self._consumers[who].exchange([Settlement(tag, verdict, "model", "as told")])
        item = self._tags[who].pop(tag)
        self._old_tags[who].append(tag)
        self._model.settle(self._holders[who], [Settlement(item.tag, verdict, "model")])
        self._count()

    @rule(who=st.integers(0, 1), at=st.integers(0, 9), verdict=st.sampled_from(Verdict))
    def settle_again(self, who: int, at: int, verdict: Verdict) -> None:
        """Settle what is not in hand any more, whoever may have it now: nothing changes."""
        if not self._old_tags[who]:
            return
        tag = self._old_tags[who][at % len(self._old_tags[who])]
        if tag in self._tags[who]:
            # SQLite names a delivery by who has it and what it is: this one is in hand again.
            return
        self._consumers[who].exchange([Settlement(tag, verdict, "model")])
        self._count()

    @rule(who=st.integers(0, 1), at=st.integers(0, 9))
    def start(self, who: int, at: int) -> None:
        """Hand one over to run, to be acknowledged late."""
        tag = self._some_tag(who, at)
        if tag is None:
            return
        self._consumers[who].exchange(started=[Handover(tag, is_acked=False)])
        self._model.start(self._holders[who], [Handover(self._tags[who][tag].tag, is_acked=False)])
        self._count()

    @precondition(lambda self: self.broker.capabilities.can_list_parked)
    @rule(who=st.integers(0, 1), at=st.integers(0, 9), is_due=st.booleans())
    def park(self, who: int, at: int, is_due: bool) -> None:  # noqa: FBT001 - a rule's argument
        """Park one until long ago, or far away."""
        tag = self._some_tag(who, at)
        if tag is None:
            return
        due_at = time.time() - 1 if is_due else time.time() + _FAR_S
        self._consumers[who].park([(tag, due_at)])
        item = self._tags[who].pop(tag)
        self._old_tags[who].append(tag)
        self._model.park(self._holders[who], [(item.tag, due_at)])
        self._count()

    @precondition(lambda self: self.broker.capabilities.can_list_parked)
    @rule()
    def purge(self) -> None:
        """Drop what waits and is parked."""
        assert self.broker.purge(self._queue.name) == self._model.purge(self._queue.name)
        self._count()

    @rule(at=st.integers(0, 9), is_replay=st.booleans())
    def take_letter(self, at: int, is_replay: bool) -> None:  # noqa: FBT001 - a rule's argument
        """Replay or drop a dead letter."""
        letters = self.broker.dead_letters(self._queue.name)
        if not letters:
            return
        letter = letters[at % len(letters)]
        item = self._items[letter.message.headers["id"]]
        assert (letter.reason, letter.detail) == ("model", "as told")
        if is_replay:
            assert self.broker.replay([letter.letter_id]) == 1
            self._model.replay(item)
        else:
            assert self.broker.drop([letter.letter_id]) == 1
            self._model.drop(item)
        self._count()

    @rule(who=st.integers(0, 1))
    def leave_and_come(self, who: int) -> None:
        """Leave what has not started, and come again; who runs something stays."""
        if any(item.is_started for item in self._tags[who].values()):
            return
        self._consumers[who].close()
        self._model.leave(self._holders[who])
        self._tags[who].clear()
        self._consumers[who] = self.broker.consumer([self._queue], _NAMES[who])
        self._holders[who] = Holder(_NAMES[who], [self._queue.name])
        self._model.join(self._holders[who])
        self._count()

    # --- rules --------------------------------------------------------------------------------

    @invariant()
    def letters_are_those_that_died(self) -> None:
        """The dead letters are exactly those that were sent there."""
        letters = self.broker.dead_letters(self._queue.name)
        found = sorted(letter.message.headers["id"] for letter in letters)
        assert found == sorted(item.task_id for item in self._in(Place.DEAD))

    def teardown(self) -> None:
        """Everything that is left comes out once, and nothing else does."""
        try:
            for who in (0, 1):
                tags, self._tags[who] = self._tags[who], {}
                self._consumers[who].exchange([Settlement(tag, Verdict.ACK) for tag in tags])
                for item in tags.values():
                    self._model.settle(self._holders[who], [Settlement(item.tag, Verdict.ACK)])
            while self._in(Place.READY):
                self.fetch(0, 5)
            assert not self._consumers[0].exchange(wanted=5)
        finally:
            for consumer in self._consumers:
                consumer.close()
            self.broker.delete(self._queue.name)

    def _in(self, place: Place) -> list[Item]:
        self._model.ready_count([self._queue.name])  # what is due is ready
        return self._model.in_place(place)

    def _some_tag(self, who: int, at: int) -> str | None:
        tags = list(self._tags[who])
        return tags[at % len(tags)] if tags else None

    def _expect_order(self, fresh: list[Item]) -> None:
        """Within a priority the older come first, of those that nobody had, or parked, before."""
        for priority in {item.priority for item in fresh}:
            numbers = [item.number for item in fresh if item.priority == priority]
            assert numbers == sorted(numbers), f"out of order: {numbers}"

    @classmethod
    def _count(cls) -> None:
        Histories.step_count += 1


def run(case: Case) -> Report:
    """Live as many histories as the depth says on the case's broker."""
    count = VOLUMES[case.broker][case.depth]
    url = f"memory://{uuid.uuid4().hex}"
    if case.broker != IN_PROCESS:
        url = case.places.empty(case.broker).broker_url
    Histories.step_count = 0
    with open_broker(url) as broker:
        Histories.broker = broker
        run_state_machine_as_test(
            Histories,
            settings=settings(
                max_examples=count,
                stateful_step_count=STEP_COUNT,
                derandomize=True,
                deadline=None,
                database=None,
                print_blob=False,
                # To shorten a history takes minutes on a server; the first that breaks is told.
                phases=[Phase.generate],
                report_multiple_bugs=False,
                suppress_health_check=list(HealthCheck),
            ),
        )
    return Report(figures={"histories": count, "steps checked": Histories.step_count})


MODELLED = Scenario(
    "T-MODEL",
    "random histories of the broker's port, step by step beside a model of it",
    goal="conservation, one owner, the older first within a priority, a second settlement changes"
    " nothing, deaths counted, dead letters exactly those that died",
    fails_when="a message that was returned counts a death; a tag is settled twice",
    run=run,
    brokers=(IN_PROCESS, "sqlite", "redis", "rabbitmq"),
    beside=Beside.ANYTHING,
)
