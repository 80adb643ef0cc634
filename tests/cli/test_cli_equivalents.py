"""What the console shows as "same as" is a command line that this program accepts."""

from __future__ import annotations

import shlex

import click
import pytest

from tqconsole.cli.invocation import Invocation
from tqconsole.cli.program import program
from tqconsole.core.actions import ACTIONS, Action, ActionRequest
from tqconsole.core.equivalent import call_command, equivalent_command
from tqconsole.engine.control import Panel
from tqconsole.engine.control.table import Kind

#: Something for every field there is.
GIVEN = {
    "task_name": "img.resize",
    "args": '[1, "a b"]',
    "kwargs": '{"k": "it\'s"}',
    "queue": "img",
    "priority": "3",
    "countdown": "1.5",
    "eta": "2026-11-20T18:00:00+00:00",
    "expires": "60",
    "ignore_result": "true",
    "task_id": "9f3c1a20-5d1e-4a55-b0f2-2f0c6d0a41e7",
    "what": "active_queues",
    "count": "2",
    "max": "8",
    "min": "2",
    "rate_limit": "10/m",
    "hard": "60",
    "soft": "50.5",
    "workers": "w1@h,w2@h",
    "signal": "SIGKILL",
    "reload": "false",
    "stamps": "batch=7 tenant=acme",
}
TARGETS = {"task": ("id-1", "id-2"), "worker": ("w1@h", "w2@h"), "dead": ("letter-1",)}


def parsed(command: str) -> click.Context:
    """Return what the program reads out of a command line, to the last verb."""
    words = shlex.split(command)
    assert words[0] == "tqconsole"
    context = program().make_context("tqconsole", words[1:], obj=Invocation())
    while isinstance(context.command, click.Group):
        name, verb, rest = context.command.resolve_command(
            context, [*context._protected_args, *context.args]
        )
        assert verb is not None
        context = verb.make_context(name, rest, parent=context)
    if context.info_name in ("inspect", "control"):
        name, *rest = context.params["words"]
        found = Panel[name]
        assert found.kind is Kind(context.info_name)
        assert not found.missing_from(found.arguments_from(rest))
    return context


def request_of(action: Action, *, is_full: bool) -> ActionRequest:
    given = {
        field.name: GIVEN[field.name] for field in action.fields if is_full or field.is_required
    }
    targets = TARGETS.get(action.target_kind, ("mail",))
    return ActionRequest(action.action_id, targets if action.can_bulk else targets[:1], given)


@pytest.mark.parametrize("is_full", [True, False], ids=["every field", "the least"])
@pytest.mark.parametrize(
    "action",
    [action for action in ACTIONS.values() if action.action_id != "task.rerun"],
    ids=lambda action: action.action_id,
)
def test_the_program_accepts_what_the_console_shows(action: Action, *, is_full: bool) -> None:
    assert parsed(equivalent_command(request_of(action, is_full=is_full))).params


def test_a_rerun_is_shown_as_a_call_that_the_program_accepts() -> None:
    params = parsed(call_command("img.resize", '[1, "it\'s"]', '{"n": 2}', "img")).params

    assert params["name"] == "img.resize"
    assert params["args"] == [1, "it's"]
    assert params["kwargs"] == {"n": 2}
    assert params["queue"] == "img"


def test_a_name_that_looks_like_an_option_stays_a_name() -> None:
    assert parsed(call_command("--force", "[]", "{}", "")).params["name"] == "--force"

    words = parsed(equivalent_command(ActionRequest("task.revoke", ("-h",)))).params["words"]

    assert words == ("revoke", "-h")


def test_modules_to_reload_have_no_command() -> None:
    assert equivalent_command(ActionRequest("worker.pool_restart", (), {"reload": "true"})) == ""


def test_more_ids_than_a_line_can_bear_have_no_command() -> None:
    assert equivalent_command(ActionRequest("task.revoke", ("id",) * 5000)) == ""
