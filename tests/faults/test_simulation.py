"""The simulation: it is the same each time, keeps its seeds, and sees what it is there to see."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest

from faults.sim.kept import KEPT
from faults.sim.run import live, live_all
from tqconsole.engine.protocol.header import TaskHeader
from tqconsole.engine.protocol.transfer import Handover
from tqconsole.engine.worker.admission import Admission
from tqconsole.engine.worker.ending import Endings
from tqconsole.engine.worker.exchanging import Exchanging
from tqconsole.engine.worker.forfeits import Forfeits
from tqconsole.engine.worker.handing import Handing
from tqconsole.engine.worker.machine import Machine
from tqconsole.engine.worker.values import Arrival


@pytest.mark.parametrize("seed", KEPT)
def test_kept_seed_holds(seed: int) -> None:
    assert live_all([seed])[0].broken == ""


def test_seed_is_the_same_history_each_time() -> None:
    assert live(7) == live(7)


@pytest.mark.parametrize("kind", ["redis", "sqlite", "amqp"])
def test_every_kind_of_broker_is_lived(kind: str) -> None:
    life = live(4, kind)

    assert (life.kind, life.broken) == (kind, "")
    assert life.task_count > 0


def acknowledge_all_early(patch: pytest.MonkeyPatch) -> None:
    original = Handing.handovers

    def handovers(self: Handing) -> list[Handover]:
        return [msgspec.structs.replace(each, is_acked=True) for each in original(self)]

    patch.setattr(Handing, "handovers", handovers)


def forget_what_failed(patch: pytest.MonkeyPatch) -> None:
    original = Exchanging.failed

    def failed(self: Exchanging, failure: Any) -> None:
        original(self, failure)
        self._hand.settled.clear()

    patch.setattr(Exchanging, "failed", failed)


def report_no_loss(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Endings, "report_losses", lambda *_, **__: None)


def forget_the_links(patch: pytest.MonkeyPatch) -> None:
    original = Exchanging.failed

    def failed(self: Exchanging, failure: Any) -> None:
        original(self, failure)
        self._hand.publications.clear()

    patch.setattr(Exchanging, "failed", failed)


def hear_no_bell(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Exchanging, "ring", lambda *_: None)


def let_nothing_expire(patch: pytest.MonkeyPatch) -> None:
    original = Admission.admit

    def admit(self: Admission, arrivals: Sequence[Arrival]) -> None:
        lasting = [
            (delivery, msgspec.structs.replace(header, expires_at=None))
            if isinstance(header, TaskHeader)
            else (delivery, header)
            for delivery, header in arrivals
        ]
        original(self, lasting)

    patch.setattr(Admission, "admit", admit)


def revoke_nothing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Machine, "_on_revoke", lambda *_: None)


def forget_what_was_taken_back(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Machine, "_on_forfeited", lambda *_: None)


def forget_what_was_taken_back_in_flight(patch: pytest.MonkeyPatch) -> None:
    original = Forfeits.lose
    patch.setattr(Forfeits, "lose", lambda self, tags, _: original(self, tags, ()))


@pytest.mark.parametrize(
    ("switch_off", "seeds"),
    [
        (acknowledge_all_early, [0, 5, 8]),
        (forget_what_failed, [2, 3, 14]),
        (report_no_loss, [6, 16, 18]),
        (forget_the_links, [2, 15, 19]),
        (hear_no_bell, [1, 6]),
        (let_nothing_expire, [2, 4, 6]),
        (revoke_nothing, [1, 2, 4]),
        (forget_what_was_taken_back, [5, 8, 13]),
        (forget_what_was_taken_back_in_flight, [5, 8, 13]),
    ],
)
def test_mechanism_that_is_switched_off_is_missed(
    switch_off: Callable[[pytest.MonkeyPatch], None],
    seeds: Sequence[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    switch_off(monkeypatch)

    assert any(life.broken for life in live_all(seeds))
