"""Calls that cannot be meant are refused where they are made, and nothing is sent."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from client_rig import make_app, sent

from tqconsole.engine.clock import ManualClock
from tqconsole.engine.exceptions import EncodeError

NOW_AT = 1_800_000_000.0
NOW = datetime.fromtimestamp(NOW_AT, UTC)


@pytest.fixture
def app() -> Any:
    made = make_app(clock=ManualClock(NOW_AT))

    @made.task(name="proj.add")
    def add(x: int, y: int) -> int:
        return x + y

    return made


@pytest.fixture
def add(app: Any) -> Any:
    return app.tasks["proj.add"]


@pytest.mark.parametrize("option", [{"countdown": "soon"}, {"eta": object()}, {"expires": 1e300}])
def test_what_is_no_instant_is_refused(app: Any, add: Any, option: Any) -> None:
    with pytest.raises(ValueError, match="neither seconds nor an instant"):
        add.apply_async((1, 2), **option)
    assert sent(app) == []


@pytest.mark.parametrize(
    ("option", "what"),
    [
        ({"time_limit": "x"}, "a time limit is 0 to"),
        ({"headers": 7}, "headers are a map, not 7"),
        ({"link": 7}, "link takes signatures"),
        ({"link_error": "x"}, "link_error takes signatures"),
        ({"shadow": 7}, "shadow is a text, not 7"),
        ({"reply_to": 7}, "reply_to is a text"),
        ({"group_id": 7}, "group_id is a text"),
        ({"root_id": "a\nb"}, "root_id has no control characters"),
        ({"retry_policy": 7}, "retry_policy is a map .*, not 7"),
        ({"retry_policy": {"max_retries": "x"}}, "max_retries is a number, not 'x'"),
        ({"stamped_headers": 7}, "stamped_headers is a list of names, not 7"),
        ({"stamped_headers": "job"}, "stamped_headers is a list of names, not 'job'"),
    ],
)
def test_what_a_worker_would_refuse_is_not_sent(app: Any, add: Any, option: Any, what: str) -> None:
    with pytest.raises(EncodeError, match=what):
        add.apply_async((1, 2), **option)
    assert sent(app) == []


@pytest.mark.parametrize("call", [{"args": 7}, {"args": (1, 2), "kwargs": 7}])
def test_arguments_that_are_no_list_and_map_are_refused(app: Any, add: Any, call: Any) -> None:
    with pytest.raises(TypeError, match=r"proj.add\(\) takes a list .* and a map"):
        add.apply_async(**call)
    assert sent(app) == []
