"""The console's tables: keys, actions, and what is made from them."""

import shlex

import pytest

from tqconsole.core.actions import (
    ACTIONS,
    Action,
    ActionRequest,
    Confirm,
    actions_for,
    actions_of_group,
    confirm_word,
)
from tqconsole.core.equivalent import equivalent_command
from tqconsole.core.keymap import KEYMAP, KeyBinding, bindings_for, case_violations


def test_uppercase_keys_and_only_they_change_the_cluster():
    assert case_violations() == []


def test_the_case_rule_finds_violations():
    bad = [KeyBinding("a", ("r",), "x", does_change=True), KeyBinding("b", ("R",), "x")]

    assert case_violations(bad) == ["a", "b"]


def test_binding_ids_are_unique():
    ids = [binding.binding_id for binding in KEYMAP]

    assert len(ids) == len(set(ids))


def test_a_key_means_one_thing_on_a_screen():
    for screen in {binding.screen for binding in KEYMAP}:
        keys = [key for binding in bindings_for(screen) for key in binding.keys]

        assert len(keys) == len(set(keys)), screen


def test_read_only_has_no_key_that_changes():
    assert not any(b.does_change for b in bindings_for("tasks", "global", is_read_only=True))


def test_every_changing_key_leads_to_actions():
    kinds = {"tasks": "task", "task": "task", "workers": "worker", "worker": "worker"}
    kinds |= {
        "queues": "queue",
        "dead": "dead",
        "global": "cluster",
        "types": "type",
        "beat": "beat",
        "flow": "task",
    }
    for binding in KEYMAP:
        # What undo asks for is the opposite of the line under the cursor.
        if binding.does_change and binding.binding_id != "audit.undo":
            odd = {"tasks.limits": "type", "tasks.events": "worker", "dashboard.events": "worker"}
            odd |= {"beat.events": "worker", "events.events": "worker", "tasks.stamps": "cluster"}
            kind = odd.get(binding.binding_id) or kinds[binding.screen]
            found = actions_of_group(kind, binding.action_group)

            assert found, binding.binding_id
            assert {action.key for action in found} == set(binding.keys)


@pytest.mark.parametrize("action", ACTIONS.values(), ids=lambda action: action.action_id)
def test_an_action_that_changes_asks_first(action: Action):
    assert action.does_change == action.key.isupper()
    assert (action.confirm is not Confirm.NONE) == action.does_change
    assert action.label
    assert action.help


def test_marks_want_their_count_typed():
    revoke, purge = ACTIONS["task.revoke"], ACTIONS["queue.purge"]

    assert confirm_word(revoke, ["t1"]) == ""
    assert confirm_word(revoke, ["t"] * 412) == "412"
    assert confirm_word(purge, ["mail"]) == "mail"
    assert confirm_word(ACTIONS["worker.ping"], ["a", "b"]) == ""


def test_menus_keep_the_order_of_the_table():
    labels = [action.label for action in actions_for("queue")]

    assert labels[0] == "Purge"


@pytest.mark.parametrize(
    ("request_", "command"),
    [
        (ActionRequest("task.revoke", ("t1",)), "tqconsole control revoke t1"),
        (
            ActionRequest("task.terminate", ("t1",), {"signal": "SIGKILL"}),
            "tqconsole control terminate SIGKILL t1",
        ),
        (
            ActionRequest(
                "worker.rate_limit", ("w1@h", "w2@h"), {"task_name": "a.b", "rate_limit": "10/m"}
            ),
            "tqconsole control rate_limit a.b 10/m --destination w1@h,w2@h",
        ),
        (
            ActionRequest("worker.time_limit", (), {"task_name": "a", "hard": "9"}),
            "tqconsole control time_limit a 0 9",
        ),
        (ActionRequest("queue.purge", ("mail",)), "tqconsole purge --force --queues mail"),
        (ActionRequest("events.enable"), "tqconsole control enable_events"),
        (
            ActionRequest("queue.add_consumer", ("mail",), {"workers": "w1"}),
            "tqconsole control add_consumer mail --destination w1",
        ),
    ],
)
def test_an_action_has_an_equivalent_command(request_, command):
    assert equivalent_command(request_) == command


def test_a_hostile_name_stays_one_word_for_the_shell():
    evil = "x'; rm -rf / #$(id)`id`\n"

    words = shlex.split(equivalent_command(ActionRequest("queue.purge", (evil,))))

    assert words[-1] == evil
