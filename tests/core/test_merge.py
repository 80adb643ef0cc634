import pytest
from event_builders import NOW, life, task_event
from hypothesis import given
from hypothesis import strategies as st

from tqconsole.core.merge import merge
from tqconsole.core.views import TaskRow

SHOWN = [name for name in TaskRow.__slots__ if name not in ("revision", "sequence")]


def fold(events):
    row = TaskRow("t1", 1)
    for event in events:
        merge(row, event, event["timestamp"], event.get("hostname", ""))
    return row


def facts(row):
    return {name: getattr(row, name) for name in SHOWN}


CALL = {"name": "proj.add", "args": "(2, 2)", "kwargs": "{}", "root_id": "t1", "parent_id": None}
FIELDS = {
    "sent": {**CALL, "queue": "img", "retries": 0, "eta": None, "expires": None},
    "received": {**CALL, "retries": 1, "eta": None, "expires": None},
    "started": {},
    "progress": {"done": 3, "total": 9},
    "succeeded": {"result": "4", "runtime": 0.5},
    "failed": {"exception": "OSError('x')", "traceback": "Traceback:\nOSError: x"},
    "retried": {"exception": "OSError('y')", "traceback": "Traceback:\nOSError: y"},
    "revoked": {"terminated": True, "signum": 15, "expired": False},
    "rejected": {"requeue": True},
    "checkpoint": {"any": "thing"},
}


@st.composite
def one_event(draw):
    kind = draw(st.sampled_from(sorted(FIELDS)))
    worker = "web-1" if kind == "sent" else draw(st.sampled_from(["w1@h", "w2@h", "w3@i"]))
    return task_event(kind, "t1", NOW + draw(st.integers(0, 12)) / 4, worker, **FIELDS[kind])


@given(st.lists(one_event(), min_size=1, max_size=12), st.randoms(), st.data())
def test_any_order_of_arrival_gives_the_same_row(events, random, data):
    shuffled = list(events) + data.draw(st.lists(st.sampled_from(events), max_size=4))
    random.shuffle(shuffled)

    assert facts(fold(shuffled)) == facts(fold(events))


def test_a_whole_life_is_told():
    sent = task_event("sent", at=NOW - 1, worker="web", **FIELDS["sent"])

    row = fold([sent, *life("t1")])

    assert (row.state, row.worker, row.queue, row.result) == ("SUCCESS", "w1@h", "img", "4")
    assert row.wait_s == pytest.approx(1.1)
    assert row.runtime_s == 0.1


def test_a_failure_has_a_run_time():
    row = fold(
        [task_event("started"), task_event("failed", at=NOW + 2, exception="E()", traceback="T")]
    )

    assert (row.state, row.runtime_s, row.exception, row.traceback) == ("FAILURE", 2.0, "E()", "T")


def test_success_is_never_taken_back():
    row = fold([*life("t1"), task_event("started", at=NOW + 50, worker="w2@h")])

    assert (row.state, row.worker) == ("SUCCESS", "w1@h")


def test_a_task_received_elsewhere_later_moves_on():
    row = fold([task_event("started"), task_event("received", at=NOW + 20, worker="w2@h")])

    assert (row.state, row.worker) == ("RECEIVED", "w2@h")


def test_a_lost_task_moves_on_whatever_the_other_clock_says():
    row = fold([task_event("started")])
    row.is_lost = True

    merge(row, task_event("started", worker="w2@h"), NOW - 3600, "w2@h")

    assert (row.state, row.worker, row.is_lost) == ("STARTED", "w2@h", False)


def test_a_retry_keeps_its_exception_while_it_waits():
    row = fold(
        [
            task_event("retried", at=NOW, exception="OSError('x')", traceback="T"),
            task_event("received", at=NOW + 1, retries=2, name="n"),
        ]
    )

    assert (row.state, row.exception, row.retries, row.ended_at) == (
        "RECEIVED",
        "OSError('x')",
        2,
        None,
    )


def test_progress_is_shown_while_it_runs():
    running = [task_event("started"), task_event("progress", at=NOW + 1, done=3, total=9)]

    assert (fold(running).state, fold(running).progress_done) == ("STARTED", 3.0)
    assert fold([*running, *life("t1", NOW + 2)]).progress_done is None


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"expired": True}, "expired"),
        ({"terminated": True, "signum": "15"}, "terminated, signal 15"),
        ({}, "revoked"),
    ],
)
def test_a_revoked_task_says_why(fields, told):
    assert fold([task_event("revoked", **fields)]).result == told


JUNK = [
    None,
    True,
    -1,
    10**400,
    float("nan"),
    float("inf"),
    -2.5,
    "",
    "x\x1b",
    [1],
    {"a": []},
    b"\xff",
]
READ = ["name", "args", "kwargs", "retries", "result", "runtime", "exception", "traceback"]
READ += ["hostname", "done", "total", "signum", "expired", "queue", "eta"]


@given(
    st.sampled_from(sorted(FIELDS)),
    st.dictionaries(st.sampled_from(READ), st.sampled_from(JUNK), max_size=5),
)
def test_junk_in_an_event_harms_nobody(kind, fields):
    row = TaskRow("t1", 1)

    merge(row, {**task_event(kind), **fields}, NOW, "w1@h")

    assert all(isinstance(getattr(row, name), str) for name in ("name", "args", "result", "worker"))
