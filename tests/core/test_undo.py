"""An action is taken back only where something does, and only where it changed something."""

from __future__ import annotations

import pytest

from tqconsole.core.actions import ActionRequest
from tqconsole.core.undo import old_limits, undo_of
from tqconsole.core.views import ActionDone, NodeAnswer
from tqconsole.engine.control.answer import Answers
from tqconsole.remote_control import RemoteControl


def done(**texts: str) -> ActionDone:
    return ActionDone("", tuple(NodeAnswer(f"{name}@h", text) for name, text in texts.items()))


@pytest.mark.parametrize(
    ("action_id", "opposite", "arguments"),
    [
        ("events.enable", "events.disable", {}),
        ("worker.add_consumer", "worker.cancel_consumer", {"queue": "mail"}),
        ("worker.pool_shrink", "worker.pool_grow", {"count": "2"}),
    ],
)
def test_the_opposite_goes_to_the_workers_that_changed(action_id, opposite, arguments):
    request = ActionRequest(action_id, (), arguments)

    undo = undo_of(request, done(w1="ok", w2="task events already enabled"), None)

    assert undo == ActionRequest(opposite, ("w1@h",), arguments)


def test_a_queue_is_given_back_to_the_workers_that_left_it():
    request = ActionRequest("queue.cancel_consumer", ("mail",), {"workers": ""})

    undo = undo_of(request, done(w1="no longer consuming from mail", w2="ok"), None)

    assert undo == ActionRequest("queue.add_consumer", ("mail",), {"workers": "w1@h,w2@h"})


@pytest.mark.parametrize("action_id", ["task.revoke", "queue.purge", "worker.shutdown"])
def test_what_is_gone_stays_gone(action_id):
    assert undo_of(ActionRequest(action_id, ("x",)), done(w1="ok"), None) is None


def test_nothing_is_taken_back_where_everybody_refused():
    refused = ActionDone("", (NodeAnswer("w1@h", "", "unknown task"),))

    assert undo_of(ActionRequest("events.enable"), refused, None) is None


class Told(RemoteControl):
    def __init__(self, **replies: object) -> None:
        self.replies = {f"{name}@h": reply for name, reply in replies.items()}

    def registered(self, attributes=(), destination=None, *_more, **_options):
        self.asked = (list(attributes), destination)
        return Answers(self.replies)


def test_a_limit_goes_back_to_what_all_workers_had():
    request = ActionRequest("type.rate_limit", ("mail.send",), {"rate_limit": "5/m"})
    remote = Told(w1=["a.b", "mail.send [rate_limit=100/m]"], w2=["mail.send [rate_limit=100/m]"])

    before = old_limits(request, remote)
    undo = undo_of(request, done(w1="ok", w2="ok"), before)

    assert remote.asked == (["rate_limit"], None)
    assert undo == ActionRequest("type.rate_limit", ("mail.send",), {"rate_limit": "100/m"})


def test_a_limit_that_was_not_set_is_switched_off_again():
    request = ActionRequest(
        "worker.rate_limit", ("w1@h",), {"task_name": "mail.send", "rate_limit": "5/m"}
    )

    before = old_limits(request, Told(w1=["mail.send"]))
    undo = undo_of(request, done(w1="ok"), before)

    assert undo == ActionRequest(
        "worker.rate_limit", ("w1@h",), {"task_name": "mail.send", "rate_limit": "0"}
    )


def test_time_limits_go_back_both():
    request = ActionRequest("type.time_limit", ("a",), {"hard": "9", "soft": ""})
    remote = Told(w1=["a [time_limit=60 soft_time_limit=50]"])

    before = old_limits(request, remote)

    assert before == {"hard": "60", "soft": "50"}


def test_workers_that_disagree_have_no_common_past():
    request = ActionRequest("type.rate_limit", ("a",), {"rate_limit": "1/s"})

    before = old_limits(request, Told(w1=["a [rate_limit=1/m]"], w2=["a"]))

    assert before is None
    assert undo_of(request, done(w1="ok"), before) is None
