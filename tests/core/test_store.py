from event_builders import NOW, life, task_event

from tqconsole.core.store import ROW_BYTES, Store


def feed(store, *events):
    for event in events:
        store.apply(event, event["timestamp"], event["hostname"])
    store.evict()


def test_rows_keep_within_the_count():
    store = Store(rows_limit=100)

    for number in range(1000):
        feed(store, *life(f"t{number}"))

    assert 90 <= len(store) <= 100
    assert store.evicted_count == 1000 - len(store)
    assert store.get("t999") is not None
    assert store.get("t0") is None


def test_rows_keep_within_the_bytes():
    store = Store(bytes_limit=50 * (ROW_BYTES + 1000))

    for number in range(500):
        feed(store, task_event("received", f"t{number}", args="x" * 1000))

    assert store.bytes_kept <= store.bytes_limit
    assert 40 <= len(store) <= 50


def test_failures_outlive_successes():
    store = Store(rows_limit=100)
    feed(store, task_event("failed", "bad", exception="E()"))

    for number in range(1000):
        feed(store, *life(f"t{number}"))

    assert store.get("bad").state == "FAILURE"


def test_failures_have_a_quota():
    store = Store(rows_limit=100)

    for number in range(1000):
        feed(store, task_event("failed", f"t{number}", exception="E()"))

    assert len(store) <= 100


def test_byte_count_returns_to_nothing():
    store = Store(rows_limit=1)
    feed(store, *life("a"), *life("b"))
    feed(store, task_event("received", "c"))

    assert store.bytes_kept == ROW_BYTES * len(store)


def test_running_rows_are_known():
    store = Store()

    feed(store, task_event("started", "a"), task_event("started", "b"), *life("b", NOW + 1))

    assert set(store.running) == {"a"}


def test_an_event_without_an_id_is_left_out():
    store = Store()

    assert store.apply({"type": "task-started", "uuid": 7}, NOW, "w") is None
    assert len(store) == 0


def test_changes_are_told_once():
    store = Store()
    feed(store, *life("a"))

    changed, _ = store.take_changes()

    assert {row.task_id for row in changed} == {"a"}
    assert store.take_changes() == (set(), False)
