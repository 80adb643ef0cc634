import pytest
from event_builders import NOW, life, task_event
from hypothesis import given, settings
from hypothesis import strategies as st

from tqconsole.core.filter import compile_filter
from tqconsole.core.row_view import RowView
from tqconsole.core.sorting import SORT_KEYS
from tqconsole.core.store import Store
from tqconsole.engine.clock import ManualClock


def view_on(store, text="", sort_key="age", *, is_descending=False, clock=None):
    return RowView(
        store,
        compile_filter(text),
        sort_key,
        is_descending=is_descending,
        clock=clock or ManualClock(NOW),
    )


def refresh(store, *views):
    store.evict()
    changed, has_evicted = store.take_changes()
    for view in views:
        view.update(changed, has_evicted=has_evicted)


def feed(store, *events):
    for event in events:
        store.apply(event, event["timestamp"], event["hostname"])


def ids(view):
    return [view.row(index).task_id for index in range(len(view))]


def test_newest_rows_come_first():
    store = Store()
    view = view_on(store)

    feed(store, *life("a"), *life("b"))
    refresh(store, view)

    assert ids(view) == ["b", "a"] == [row.task_id for row in view]


def test_a_row_leaves_when_it_matches_no_longer():
    store = Store()
    feed(store, task_event("started", "a"), task_event("started", "b"))
    view = view_on(store, "is:running")

    feed(store, task_event("succeeded", "a", NOW + 1))
    refresh(store, view)

    assert ids(view) == ["b"]
    assert (view.index_of("b"), view.index_of("a")) == (0, None)


def test_evicted_rows_leave():
    store = Store(rows_limit=3)
    view = view_on(store, sort_key="id")
    for task_id in "abcdef":
        feed(store, *life(task_id))
        refresh(store, view)

    assert len(view) == len(store) <= 3
    assert ids(view) == sorted(row.task_id for row in store)


def test_another_order_is_renewed_after_a_rest():
    clock = ManualClock(NOW)
    store = Store()
    view = view_on(store, sort_key="name", clock=clock)
    feed(store, *life("a", name="z"), *life("b", name="y"))

    clock.advance(1)
    refresh(store, view)

    assert ids(view) == ["b", "a"]


def test_an_index_below_zero_is_refused():
    store = Store()
    feed(store, *life("a"))

    with pytest.raises(IndexError):
        view_on(store).row(-1)


def test_an_unknown_sort_key_is_refused():
    with pytest.raises(ValueError, match="no such sort key"):
        view_on(Store(), sort_key="colour")


KINDS = st.sampled_from(["received", "started", "succeeded", "failed", "retried"])
STEP = st.tuples(st.sampled_from("abcdefghij"), KINDS, st.integers(0, 9))


@settings(max_examples=60)
@given(
    st.lists(st.lists(STEP, max_size=8), max_size=8),
    st.sampled_from(sorted(SORT_KEYS)),
    st.sampled_from(["", "is:running", "state:FAILURE", "-name:a"]),
    st.booleans(),
)
def test_a_view_kept_up_to_date_equals_a_new_one(batches, sort_key, text, is_descending):
    clock = ManualClock(NOW)
    store = Store(rows_limit=6)
    view = view_on(store, text, sort_key, is_descending=is_descending, clock=clock)

    for batch in batches:
        for task_id, kind, offset in batch:
            feed(store, task_event(kind, task_id, NOW + offset, name=f"n{task_id}"))
        clock.advance(1)
        refresh(store, view)

    fresh = view_on(store, text, sort_key, is_descending=is_descending)
    assert ids(view) == ids(fresh)
    assert all(view.index_of(task_id) == at for at, task_id in enumerate(ids(view)))


@pytest.mark.parametrize(("sort_key", "attribute"), [("runtime", "runtime_s"), ("queue", "queue")])
@pytest.mark.parametrize("is_descending", [False, True])
def test_rows_without_a_value_come_last(sort_key, attribute, is_descending):
    store = Store()
    feed(store, *life("a"), task_event("started", "none"), *life("b"))
    for task_id, value in {"a": 1.0, "b": 2.0}.items():
        row = store.get(task_id)
        setattr(row, attribute, value if sort_key == "runtime" else f"q{value}")

    found = ids(view_on(store, sort_key=sort_key, is_descending=is_descending))

    assert found == (["b", "a", "none"] if is_descending else ["a", "b", "none"])
