"""Who is told when something before them failed, whatever stands in between."""

from __future__ import annotations

import pytest

from tqconsole.engine import App, states
from tqconsole.engine.context import Context
from tqconsole.engine.middleware.fallout import fallout_of
from tqconsole.engine.protocol.signature import signature_dict


def test_call_that_cannot_be_read_keeps_no_other_from_being_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = App("fallout", set_as_current=False)
    unreadable = signature_dict("celery.group", subtask_type="group")
    last = signature_dict("add", options={"task_id": "last"})
    request = Context(
        id="part",
        root_id="root",
        group="chord",
        group_index=0,
        chord=signature_dict("body"),
        chain=[last, unreadable],
    )

    fallout = fallout_of(app, request, states.FAILURE, ValueError("no"))

    assert [call.id for call in fallout.calls] == ["last"]
    assert [part.task_id for part in fallout.parts] == ["part"]
    assert "cannot be told" in caplog.text
