"""Workflows on real workers and the embedded file: what the worker itself ends counts too."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest
from worker_process import PATIENCE_S, POOLS, Site, eventually

from tqconsole.engine import chain, chord, group

pytestmark = pytest.mark.slow


def sig(site: Site, name: str, *args: Any, **options: Any) -> Any:
    return site.app.signature(name, args=args, **options)


@pytest.mark.parametrize("pool", POOLS)
def test_every_pool_runs_a_nested_workflow(site: Site, pool: str) -> None:
    site.worker(pool=pool, concurrency=2)
    add, xsum = "add", "xsum"

    result = (
        sig(site, add, 1, 1)
        | group(sig(site, add, 1), chain(sig(site, add, 2), sig(site, add, 3)))
        | sig(site, xsum)
        | group(sig(site, add, 5), sig(site, add, 6))
    )()

    assert result.get(timeout=PATIENCE_S) == [15, 16]


def test_a_revoked_part_fails_the_body(site: Site) -> None:
    gate = site.folder / "gate"
    site.worker(pool="threads")
    site.call("hold", str(site.ledger), str(gate))
    assert eventually(site.lines)
    part = sig(site, "add", 2, 2, task_id="doomed")
    result = chord([sig(site, "add", 1, 1), part], sig(site, "xsum"))()
    assert site.ask("revoke", task_id="doomed")

    gate.touch()
    error = result.get(timeout=PATIENCE_S, propagate=False)

    assert str(error) == "Dependency doomed raised TaskRevokedError('revoked')"


def test_an_unknown_part_fails_the_body(site: Site) -> None:
    site.worker()

    result = chord([sig(site, "add", 1, 1), sig(site, "nobody.knows")], sig(site, "xsum"))()

    error = result.get(timeout=PATIENCE_S, propagate=False)
    assert "NotRegistered('nobody.knows')" in str(error)


def test_a_step_whose_process_dies_fails_what_follows(site: Site) -> None:
    site.worker(pool="prefork")
    dies = chain(sig(site, "die_early"), sig(site, "add", 1))

    result = chord([sig(site, "add", 1, 1), dies], sig(site, "xsum") | sig(site, "add", 1))()

    error = result.get(timeout=PATIENCE_S, propagate=False)
    assert "WorkerLostError" in str(error)
    assert eventually(lambda: result.parent.state == "FAILURE")


def test_a_chord_survives_the_death_of_its_worker(site: Site) -> None:
    conf = {"task_acks_late": True}
    gate = site.folder / "gate"
    first = site.worker(pool="prefork", concurrency=2, conf=conf)
    parts = [sig(site, "hold_number", str(site.ledger), str(gate), number) for number in range(4)]
    result = chord(parts, sig(site, "xsum"))()
    assert eventually(lambda: len(site.lines()) >= 2)

    os.killpg(first.process.pid, signal.SIGKILL)
    first.process.wait()
    gate.touch()
    site.worker(pool="prefork", concurrency=2, conf=conf)

    assert result.get(timeout=PATIENCE_S) == 6


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_a_unique_part_fails_its_workflow_or_joins(site: Site, pool: str) -> None:
    gate = site.folder / "gate"
    site.worker(pool=pool, concurrency=4)
    held = (str(site.ledger), str(gate), 40)
    first = {name: sig(site, name, *held).apply_async() for name in ("alone", "together")}
    assert eventually(lambda: len(site.lines()) == 2)

    refused = chain(sig(site, "alone", *held), sig(site, "add", 1))()
    joined = chord([sig(site, "together", *held), sig(site, "add", 1, 1)], sig(site, "xsum"))()
    linked = sig(site, "add", 1, 1, link=sig(site, "together", *held, immutable=True)).apply_async()

    error = refused.parent.get(timeout=PATIENCE_S, propagate=False)
    assert linked.get(timeout=PATIENCE_S) == 2
    assert f"is on its way as {first['alone'].id}" in str(error)
    # Who comes when the key is free again would run, and rightly so.
    waiting = [joined.parent.results[0], linked.children[0]]
    assert eventually(lambda: {each.state for each in waiting} == {"RETRY"})
    gate.touch()
    assert joined.get(timeout=PATIENCE_S) == 42
    assert linked.children[0].get(timeout=PATIENCE_S) == 40
    assert len(site.lines()) == 2, "neither ran twice"
