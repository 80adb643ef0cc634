"""What every result store does. No line names one of them."""

from __future__ import annotations

import threading
import uuid

import pytest

from tqconsole.engine.backends import open_backend
from tqconsole.engine.backends.base import Backend
from tqconsole.engine.clock import SYSTEM_CLOCK
from tqconsole.engine.exceptions import NotSupportedError
from tqconsole.engine.protocol.transfer import ResultWrite


@pytest.fixture
def task_id() -> str:
    return str(uuid.uuid4())


def test_record_comes_back_unchanged(backend: Backend, task_id: str) -> None:
    backend.store([ResultWrite(task_id, "SUCCESS", b'{"result": "\xc3\xa9"}')])

    assert backend.fetch([task_id, "unknown"]) == {task_id: b'{"result": "\xc3\xa9"}'}


def test_fetch_of_nothing_is_empty(backend: Backend) -> None:
    assert backend.fetch([]) == {}


def test_many_records_are_fetched_at_once(backend: Backend) -> None:
    task_ids = [str(uuid.uuid4()) for _ in range(1500)]
    backend.store([ResultWrite(it, "SUCCESS", it.encode()) for it in task_ids])

    assert backend.fetch(task_ids) == {it: it.encode() for it in task_ids}


@pytest.mark.parametrize("earlier", ["PENDING", "STARTED", "RETRY", "FAILURE", "PROGRESS"])
def test_later_state_replaces_an_earlier_one(backend: Backend, task_id: str, earlier: str) -> None:
    backend.store([ResultWrite(task_id, earlier, b"old")])
    backend.store([ResultWrite(task_id, "SUCCESS", b"new")])

    assert backend.fetch([task_id]) == {task_id: b"new"}


@pytest.mark.parametrize("later", ["FAILURE", "STARTED", "SUCCESS"])
def test_success_is_never_overwritten(backend: Backend, task_id: str, later: str) -> None:
    # Stores in Celery's layout know a state only by the record itself.
    first, second = b'{"status": "SUCCESS", "n": 1}', b'{"status": "%s", "n": 2}' % later.encode()
    backend.store([ResultWrite(task_id, "SUCCESS", first)])
    backend.store([ResultWrite(task_id, later, second)])

    assert backend.fetch([task_id]) == {task_id: first}


def test_writes_of_one_batch_take_effect_in_order(backend: Backend, task_id: str) -> None:
    backend.store([ResultWrite(task_id, state, state.encode()) for state in ("STARTED", "RETRY")])

    assert backend.fetch([task_id]) == {task_id: b"RETRY"}


def test_forgotten_record_is_gone(backend: Backend, task_id: str) -> None:
    backend.store([ResultWrite(task_id, "SUCCESS", b"x")])

    backend.forget([task_id, "unknown"])
    backend.forget([])

    assert backend.fetch([task_id]) == {}


def test_keys_hold_values(backend: Backend, task_id: str) -> None:
    if not backend.can_keep_keys:
        pytest.skip("keeps no keys")
    backend.put(task_id, b"one", None)
    backend.put(task_id, b"two", 60.0)

    assert backend.get(task_id) == b"two"
    assert backend.get("unknown") is None


def test_deleted_keys_are_gone(backend: Backend, task_id: str) -> None:
    if not backend.can_keep_keys:
        pytest.skip("keeps no keys")
    backend.put(task_id, b"one", 60.0)

    backend.delete([task_id, "unknown"])
    backend.delete([])

    assert backend.get(task_id) is None


def test_watch_ends_without_a_record(backend: Backend, task_id: str) -> None:
    watch = backend.watch([task_id], "")

    watch.wait(0.05)

    watch.close()
    watch.close()


@pytest.mark.parametrize("reply_to", ["", "2f5e4ad4-6ab5-4aa8-bd6a-6c66ef1fcf18"])
def test_watch_is_woken_by_the_record(backend: Backend, task_id: str, reply_to: str) -> None:
    watch = backend.watch([task_id], reply_to)
    write = ResultWrite(task_id, "SUCCESS", b"x", reply_to=reply_to)
    timer = threading.Timer(0.05, backend.store, [[write]])
    timer.start()

    deadline = SYSTEM_CLOCK.mono() + 10
    while not backend.fetch([task_id]):
        assert SYSTEM_CLOCK.mono() < deadline
        watch.wait(5)

    watch.close()
    timer.join()


def test_watch_misses_nothing_written_before_the_wait(backend: Backend, task_id: str) -> None:
    watch = backend.watch([task_id], "caller")
    backend.store([ResultWrite(task_id, "SUCCESS", b"x", reply_to="caller")])

    began_mono = SYSTEM_CLOCK.mono()
    watch.wait(30)

    assert SYSTEM_CLOCK.mono() - began_mono < 10
    watch.close()


def test_watches_of_one_caller_all_wake(backend: Backend) -> None:
    task_ids = [str(uuid.uuid4()) for _ in range(4)]
    seen: list[str] = []

    def wait_for(task_id: str) -> None:
        watch = backend.watch([task_id], "caller")
        deadline = SYSTEM_CLOCK.mono() + 10
        while not backend.fetch([task_id]) and SYSTEM_CLOCK.mono() < deadline:
            watch.wait(5)
        watch.close()
        seen.extend(backend.fetch([task_id]))

    threads = [threading.Thread(target=wait_for, args=(it,)) for it in task_ids]
    for thread in threads:
        thread.start()
    for task_id in task_ids:
        backend.store([ResultWrite(task_id, "SUCCESS", b"x", reply_to="caller")])
    for thread in threads:
        thread.join()

    assert sorted(seen) == sorted(task_ids)


def test_store_rides_on_no_strange_place(backend: Backend) -> None:
    assert not backend.rides_on("redis://elsewhere/0")


def test_closed_store_opens_again(backend: Backend, task_id: str) -> None:
    backend.store([ResultWrite(task_id, "SUCCESS", b"x")])
    backend.close()

    if backend.is_readable_by_others:
        assert backend.fetch([task_id]) == {task_id: b"x"}
    else:
        assert backend.fetch(["unknown"]) == {}


def test_same_url_reads_the_same_records(backend: Backend, task_id: str) -> None:
    if not backend.is_readable_by_others:
        pytest.skip("lives in one process")
    backend.store([ResultWrite(task_id, "SUCCESS", b"x")])

    other = open_backend(backend.url)
    try:
        assert other.fetch([task_id]) == {task_id: b"x"}
    finally:
        other.close()


def is_shared(backend: Backend) -> bool:
    return backend.can_keep_keys and backend.is_enabled


def test_a_claimed_key_keeps_its_value(backend: Backend, task_id: str) -> None:
    if not is_shared(backend):
        with pytest.raises(NotSupportedError, match="shares nothing"):
            backend.claim(task_id, b"mine", 60)
        return
    assert backend.claim(task_id, b"mine", 60) == b"mine"
    assert backend.claim(task_id, b"yours", 60) == b"mine"
    assert not backend.release(task_id, b"yours")
    assert backend.release(task_id, b"mine")
    assert backend.claim(task_id, b"yours", 60) == b"yours"


def test_many_claim_and_one_has_it(backend: Backend, task_id: str) -> None:
    if not is_shared(backend):
        return
    found: list[bytes] = []
    threads = [
        threading.Thread(
            target=lambda number=number: found.append(backend.claim(task_id, b"%d" % number, 60))
        )
        for number in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 20
    assert len(set(found)) == 1


def test_turns_follow_each_other(backend: Backend, task_id: str) -> None:
    if not is_shared(backend):
        with pytest.raises(NotSupportedError, match="shares nothing"):
            backend.take_turns(task_id, 1, 1.0)
        return
    assert backend.take_turns(task_id, 3, 10.0) < 5
    assert 25 < backend.take_turns(task_id, 2, 10.0) <= 30
    assert 45 < backend.take_turns(task_id, 1, 10.0) <= 50
