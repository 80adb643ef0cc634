"""The remote control has one method per command of the table, and no other."""

from __future__ import annotations

import inspect

from tqconsole.engine.control import Panel
from tqconsole.engine.control.inspection import Inspect
from tqconsole.engine.control.table import Kind
from tqconsole.remote_control import RemoteControl


def _methods(kind: type) -> set[str]:
    return {name for name, _ in inspect.getmembers(kind, inspect.isfunction) if name[0] != "_"}


def test_each_command_has_a_method() -> None:
    assert _methods(RemoteControl) - {"run"} == set(Panel)


def test_each_question_is_in_inspect() -> None:
    questions = {name for name in Panel if Panel[name].kind is Kind.INSPECT}

    assert questions == _methods(Inspect) - {"request", "registered_tasks"}
