"""Stamps as typed and as found in queues; the word that asks a task to stop."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from fakes import DictBackend, ListBroker

from tqconsole.core.aborting import ASKED, abort
from tqconsole.core.errors import ActionError
from tqconsole.core.signatures import Signatures
from tqconsole.core.stamps import MESSAGES_LIMIT, find_stamped, read_stamps
from tqconsole.engine.app.hub import App
from tqconsole.engine.contrib.abortable import AbortableTask
from tqconsole.engine.exceptions import OperationalError
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.result import ResultRecord, decode_record, encode_record
from tqconsole.engine.protocol.task import TaskCall, encode_task


def stamped(name, **stamps):
    return encode_task(
        TaskCall(task_id="t", task_name=name, stamped_headers=list(stamps), stamps=stamps)
    )


def test_stamps_are_read_as_typed():
    assert read_stamps(" batch=7  tenant=a=b ") == {"batch": "7", "tenant": "a=b"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "name one stamp"),
        ("batch", "name=value, not 'batch'"),
        ("=7", "not '=7'"),
        ("batch=", "not 'batch='"),
        ("a=1 a=2", "a is given twice"),
    ],
)
def test_what_is_no_stamp_is_named(text, words):
    with pytest.raises(ActionError, match=words):
        read_stamps(text)


def test_waiting_calls_that_carry_a_stamp_are_counted_by_type():
    broker = ListBroker()
    broker.peeked = [
        stamped("mail.send", batch=["7"]),
        stamped("mail.send", batch=7),
        stamped("img.resize", tenant="acme"),
        stamped("img.resize", batch="8"),
        Message(b"nonsense"),
    ]

    found = find_stamped(broker, ["q"], {"batch": "7", "tenant": "acme"})

    assert found.found == (("q", "mail.send", 2), ("q", "img.resize", 1))
    assert (found.count, found.looked_at, found.queue_count) == (3, 5, 1)
    assert not found.is_partial


def test_a_queue_longer_than_the_look_says_so():
    broker = ListBroker()
    broker.peeked = [stamped("mail.send")] * (MESSAGES_LIMIT + 1)

    found = find_stamped(broker, ["q"], {"batch": "7"})

    assert found.is_partial
    assert found.count == 0


def test_a_broker_that_fails_is_told():
    class Failing(ListBroker):
        def peek(self, queue_name, count):
            raise OperationalError("it is gone")

    assert find_stamped(Failing(), ["q"], {"a": "1"}).error == "it is gone"


class Kept(DictBackend):
    def store(self, writes):
        for write in writes:
            self.records[write.task_id] = write.record


def test_a_call_is_asked_to_stop_in_the_store():
    backend = Kept({"t1": encode_record(ResultRecord("t1", "STARTED"))})

    assert abort(backend, "t1") == ASKED
    assert decode_record(backend.records["t1"]).state == "ABORTED"


@pytest.mark.parametrize(
    ("backend", "words"),
    [
        (None, "none is known"),
        (Kept({"t1": encode_record(ResultRecord("t1", "SUCCESS", 1))}), "ended already: SUCCESS"),
    ],
)
def test_what_cannot_be_asked_says_why(backend, words):
    with pytest.raises(ActionError, match=words):
        abort(backend, "t1")


def test_the_app_at_hand_tells_which_tasks_look_whether_to_stop():
    app = App("proj", broker="memory://", set_as_current=False)
    app.task(name="long", base=AbortableTask)(lambda: None)
    app.task(name="short")(lambda: None)

    celerys = type("AbortableTask", (), {"run": staticmethod(lambda: None)})
    signatures = Signatures()
    signatures.read(lambda: {**app.tasks, "celerys": celerys(), "odd": SimpleNamespace()})

    assert [signatures.is_abortable(name) for name in ("long", "short", "celerys", "odd")] == [
        True,
        False,
        True,
        False,
    ]
