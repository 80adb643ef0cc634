"""Tasks that can be asked to stop."""

from __future__ import annotations

from typing import Any

import pytest
from client_rig import finish, make_app

from tqconsole.engine.contrib.abortable import AbortableAsyncResult, AbortableTask
from tqconsole.engine.exceptions import NotSupportedError


def test_a_run_sees_that_it_was_asked_to_stop() -> None:
    app = make_app()

    @app.task(name="long", bind=True, base=AbortableTask)
    def long(self: Any) -> bool:
        return bool(self.is_aborted())

    result = long.delay()
    assert isinstance(result, AbortableAsyncResult)
    assert not result.is_aborted()
    result.abort()

    assert result.is_aborted()
    assert long.is_aborted(task_id=result.id)
    assert result.state == "ABORTED"


def test_what_has_ended_is_not_asked() -> None:
    app = make_app()

    @app.task(name="long", base=AbortableTask)
    def long() -> None: ...

    result = long.delay()
    finish(app, result.id, 5)
    result.abort()

    assert (result.state, result.result) == ("SUCCESS", 5)


def test_aborting_needs_a_store() -> None:
    app = make_app(backend="disabled:")

    @app.task(name="long", base=AbortableTask)
    def long() -> None: ...

    with pytest.raises(NotSupportedError, match="set result_backend"):
        long.delay().abort()
