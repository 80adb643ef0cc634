"""A real worker answers commands and tells events."""

from __future__ import annotations

import json

import pytest
from worker_process import Site, eventually

from tqconsole.engine.exceptions import TaskRevokedError
from tqconsole.engine.protocol.event import EVENTS, decode_events, event_mailbox

pytestmark = pytest.mark.slow


def hold(site: Site) -> str:
    """Start a task that holds the worker's one slot; return its id."""
    before = len(site.lines())
    result = site.call("hold", str(site.ledger), str(site.folder / "gate"))
    assert eventually(lambda: len(site.lines()) > before)
    return str(result.id)


def test_active_shows_what_runs_with_its_arguments(site: Site) -> None:
    site.worker(pool="prefork")
    task_id = hold(site)

    (info,) = eventually(lambda: [each for each in site.ask("active") if each["worker_pid"]])

    assert info["id"] == task_id
    assert info["args"] == [str(site.ledger), str(site.folder / "gate")]
    assert info["acknowledged"] is True
    assert info["time_start"] > 0


def test_reserved_shows_what_waits(site: Site) -> None:
    site.worker(pool="prefork")
    hold(site)

    waiting = site.call("add", 1, 1)

    assert eventually(lambda: [each["id"] for each in site.ask("reserved")] == [waiting.id])


def test_query_task_knows_where_a_task_is(site: Site) -> None:
    site.worker(pool="prefork")
    task_id = hold(site)

    answer = site.ask("query_task", ids=[task_id, "nosuch"])

    assert list(answer) == [task_id]
    assert answer[task_id][0] == "active"


def test_revoked_task_does_not_start(site: Site) -> None:
    site.worker(pool="prefork")
    hold(site)
    waiting = site.call("add", 1, 1)
    eventually(lambda: site.ask("reserved"))

    site.ask("revoke", task_id=waiting.id)

    with pytest.raises(TaskRevokedError, match="revoked"):
        waiting.get(timeout=20)
    assert site.ask("revoked") == [waiting.id]


def test_an_id_that_never_was_can_be_revoked(site: Site) -> None:
    site.worker(pool="solo")

    assert site.ask("revoke", task_id="never-was") == {
        "ok": "tasks {'never-was'} flagged as revoked"
    }

    assert site.ask("revoked") == ["never-was"]
    assert site.ask("query_task", ids=["never-was"]) == {}
    assert eventually(lambda: site.app.AsyncResult("never-was").state == "REVOKED")
    assert site.call("add", 1, 1).get(timeout=20) == 2
    with pytest.raises(TaskRevokedError, match="revoked"):
        site.call("add", 1, 1, task_id="never-was").get(timeout=20)


def test_revoke_of_a_parked_task_is_known_at_once(site: Site) -> None:
    site.worker(pool="solo")
    parked = site.call("add", 1, 1, countdown=60)
    assert eventually(lambda: site.ask("scheduled"))

    site.ask("revoke", task_id=parked.id)

    with pytest.raises(TaskRevokedError, match="revoked"):
        parked.get(timeout=5)


def test_revoked_task_does_not_run_when_it_is_due(site: Site) -> None:
    worker = site.worker(pool="solo")
    parked = site.call("add", 1, 1, countdown=3)
    assert eventually(lambda: site.ask("scheduled"))

    site.ask("revoke", task_id=parked.id)

    assert worker.says(f"Discarding revoked task: add[{parked.id}]")
    assert parked.state == "REVOKED"
    assert "succeeded" not in worker.log


def test_revoke_does_not_overwrite_an_end(site: Site) -> None:
    site.worker(pool="solo")
    done, failed = site.call("add", 1, 1), site.call("fail", "x")
    assert done.get(timeout=20) == 2
    assert failed.get(timeout=20, propagate=False)

    site.ask("revoke", task_id=[done.id, failed.id, "nosuch"])

    assert eventually(lambda: site.app.AsyncResult("nosuch").state == "REVOKED")
    assert (done.state, failed.state) == ("SUCCESS", "FAILURE")


def test_thousands_of_revokes_are_all_recorded(site: Site) -> None:
    site.worker(pool="solo")
    task_ids = [f"id-{number}" for number in range(2000)]

    site.ask("revoke", task_id=task_ids)

    assert eventually(lambda: len(site.app.backend.fetch(task_ids)) == len(task_ids))


def test_revokes_reach_a_worker_that_starts_later(site: Site) -> None:
    site.worker(pool="solo")
    site.ask("revoke", task_id="some-id")

    late = site.worker(pool="solo", hostname="w2@test")

    assert late.says("sync with w1@test complete")
    answers = site.app.control.broadcast("revoked", reply=True, timeout=10)
    assert {tuple(ids) for answer in answers for ids in answer.values()} == {("some-id",)}


def test_revokes_survive_a_restart_in_the_state_file(site: Site) -> None:
    statedb = str(site.folder / "state.json")
    worker = site.worker(pool="solo", statedb=statedb)
    site.ask("revoke", task_id="some-id")
    site.app.control.shutdown()
    assert worker.wait() == 0

    site.worker(pool="solo", hostname="w2@test", statedb=statedb)

    assert json.loads((site.folder / "state.json").read_text())["revoked"] == ["some-id"]
    assert site.ask("revoked") == ["some-id"]


def test_corrupt_state_file_stops_nobody(site: Site) -> None:
    statedb = site.folder / "state.json"
    statedb.write_bytes(b"\x80\x04 pickled")

    worker = site.worker(pool="solo", statedb=str(statedb))

    assert "begun anew" in worker.log
    assert site.call("add", 1, 1).get(timeout=20) == 2


def test_stats_have_celerys_shape(site: Site) -> None:
    site.worker(pool="prefork", concurrency=2)
    site.call("add", 1, 1).get(timeout=20)

    stats = site.ask("stats")

    assert stats["total"] == {"add": 1}
    assert stats["pool"]["max-concurrency"] == 2
    assert stats["prefetch_count"] == 8
    assert isinstance(stats["clock"], str)
    assert stats["broker"]["transport"] == "sqlite"


def test_queue_is_consumed_after_add_consumer(site: Site) -> None:
    site.worker(pool="solo")
    result = site.call("add", 1, 1, queue="other")

    site.ask("add_consumer", queue="other")

    assert result.get(timeout=20) == 2
    assert {queue["name"] for queue in site.ask("active_queues")} == {"celery", "other"}


def test_cancelled_queue_is_left_alone(site: Site) -> None:
    site.worker(pool="solo", queues=["celery", "other"])
    site.ask("cancel_consumer", queue="other")

    waiting = site.call("add", 1, 1, queue="other")
    assert site.call("add", 2, 2).get(timeout=20) == 4

    assert waiting.state == "PENDING"
    assert [queue["name"] for queue in site.ask("active_queues")] == ["celery"]


def test_pool_grows_and_shrinks(site: Site) -> None:
    site.worker(pool="prefork")

    site.ask("pool_grow", n=2)
    assert eventually(lambda: site.ask("stats")["pool"]["max-concurrency"] == 3)

    site.ask("pool_shrink", n=1)
    assert eventually(lambda: site.ask("stats")["pool"]["max-concurrency"] == 2)


def test_a_pool_keeps_its_last_slot(site: Site) -> None:
    site.worker(pool="threads", concurrency=2)

    refused = site.ask("pool_shrink", n=2)

    assert "cannot take 2 of 2 slots: one has to stay" in refused["error"]
    assert "use cancel_consumer, to end it shutdown" in refused["error"]
    assert site.ask("stats")["pool"]["max-concurrency"] == 2
    assert "must be 1 or more, not 0" in site.ask("pool_shrink", n=0)["error"]


def test_autoscale_grows_with_the_work(site: Site) -> None:
    site.worker(pool="threads", autoscale=[3, 1])
    for _ in range(3):
        site.call("hold", str(site.ledger), str(site.folder / "gate"))

    assert eventually(lambda: len(site.lines()) == 3)
    assert site.ask("stats")["autoscaler"]["max"] == 3
    (site.folder / "gate").touch()


def test_time_limit_command_holds_for_the_next_run(site: Site) -> None:
    site.worker(pool="prefork")
    site.ask("time_limit", task_name="hold", hard=1)

    result = site.call("hold", str(site.ledger), "/nonexistent/gate")

    assert eventually(lambda: result.state == "FAILURE")


def test_events_tell_the_life_of_a_task_to_whoever_listens(site: Site) -> None:
    feed = site.app.broker.subscribe(event_mailbox("test"), ["#"])
    site.worker(pool="prefork")
    # The worker looks for listeners at its start, so the first task is told of already.
    result = site.call("add", 2, 2)
    result.get(timeout=20)
    kinds: list[str] = []

    def is_told() -> bool:
        for broadcasted in feed.receive(0.1):
            kinds.extend(
                event["type"]
                for event in decode_events(broadcasted.message)
                if event.get("uuid") == result.id
            )
        return "task-succeeded" in kinds

    assert eventually(is_told)
    assert kinds == ["task-received", "task-started", "task-succeeded"]
    feed.close()


def test_worker_tells_its_life(site: Site) -> None:
    feed = site.app.broker.subscribe(event_mailbox("test"), ["worker.#"])
    worker = site.worker(pool="solo", heartbeat_interval=0.2)
    kinds: list[str] = []

    def has_told(kind: str) -> bool:
        for broadcasted in feed.receive(0.1):
            kinds.extend(event["type"] for event in decode_events(broadcasted.message))
        return kind in kinds

    assert eventually(lambda: has_told("worker-heartbeat"))
    assert kinds[0] == "worker-online"
    site.app.control.shutdown()
    worker.wait()
    assert eventually(lambda: has_told("worker-offline"))
    feed.close()


def test_task_events_are_off_while_nobody_listens(site: Site) -> None:
    site.worker(pool="solo")

    assert site.app.broker.listener_count(EVENTS, "task.multi") == 0
    assert site.ask("disable_events") == {"ok": "task events already disabled"}


def test_banner_names_everything(site: Site) -> None:
    worker = site.worker(pool="threads", concurrency=3, queues=["a", "b"])

    assert "w1@test v" in worker.out
    assert ".> concurrency: 3 (threads)" in worker.out
    assert ".> a                exchange=a(direct) key=a" in worker.out
    assert "  . add" in worker.out
    assert "queue.db (the app's configuration)" in worker.log


def test_purge_drops_what_waited(site: Site) -> None:
    site.call("mark", "old", str(site.ledger))

    worker = site.worker(pool="solo", purge=True)

    assert "Purged 1 message" in worker.log
    assert site.call("add", 1, 1).get(timeout=20) == 2
    assert site.lines() == []
