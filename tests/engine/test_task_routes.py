from __future__ import annotations

import re
from typing import Any

import pytest

from tqconsole.engine.exceptions import ImproperlyConfigured
from tqconsole.engine.routing import Router, describe_queue, described_queues


def route_by_argument(
    name: str, args: Any, kwargs: Any, options: Any, task: Any = None, **more: Any
) -> Any:
    return {"queue": "big"} if args and args[0] > 10 else None


class OldStyle:
    def route_for_task(self, task: str, args: Any = None, kwargs: Any = None) -> Any:
        return "old" if task == "proj.old" else None


@pytest.mark.parametrize(
    ("routes", "name"),
    [
        ({"proj.add": "low"}, "proj.add"),
        ({"proj.add": {"queue": "low"}}, "proj.add"),
        ({"proj.*": "low"}, "proj.add"),
        ({re.compile(r"(video|proj)\..*"): "low"}, "proj.add"),
        ([("proj.add", "low"), ("proj.*", "other")], "proj.add"),
        ((("proj.*", {"queue": "low"}),), "proj.sub.add"),
        ([{"other": "x"}, {"proj.add": "low"}], "proj.add"),
        ([OldStyle(), {"proj.add": "low"}], "proj.add"),
    ],
)
def test_every_form_of_routes_is_read(routes: Any, name: str) -> None:
    assert Router(routes).lookup(name, (), {}, {}) == {"queue": "low"}


def test_a_function_sees_the_arguments() -> None:
    router = Router(route_by_argument)

    assert router.lookup("proj.add", (11,), {}, {}) == {"queue": "big"}
    assert router.lookup("proj.add", (1,), {}, {}) == {}


def test_a_function_may_be_named() -> None:
    router = Router(f"{__name__}.route_by_argument")

    assert router.lookup("proj.add", (11,), {}, {}) == {"queue": "big"}


def test_a_class_is_made_an_instance() -> None:
    assert Router([OldStyle]).lookup("proj.old", (), {}, {}) == {"queue": "old"}


def test_an_exact_name_wins_over_a_pattern() -> None:
    router = Router({"proj.*": "any", "proj.add": "exact"})

    assert router.lookup("proj.add", (), {}, {}) == {"queue": "exact"}


def test_the_first_pattern_that_fits_wins() -> None:
    router = Router([("proj.*", "first"), ("*", "second")])

    assert router.lookup("proj.add", (), {}, {}) == {"queue": "first"}
    assert router.lookup("other", (), {}, {}) == {"queue": "second"}


def test_an_unknown_router_is_refused() -> None:
    with pytest.raises(ImproperlyConfigured, match="cannot be imported"):
        Router("no.such.router")
    with pytest.raises(ImproperlyConfigured, match="neither a table nor a function"):
        Router([5])


def test_a_kombu_queue_is_read_by_its_looks() -> None:
    kombu = pytest.importorskip("kombu")
    queue = kombu.Queue(
        "media",
        kombu.Exchange("media", type="topic", durable=False),
        routing_key="media.#",
        max_priority=5,
        queue_arguments={"x-queue-mode": "lazy"},
    )

    fields = describe_queue(queue)

    assert (fields["name"], fields["exchange"], fields["exchange_type"]) == (
        "media",
        "media",
        "topic",
    )
    assert fields["exchange_durable"] is False
    assert (fields["routing_key"], fields["max_priority"]) == ("media.#", 5)
    assert fields["queue_arguments"] == {"x-queue-mode": "lazy"}


def test_queues_may_be_a_mapping_or_a_list() -> None:
    assert described_queues({"a": {"routing_key": "k"}}) == [{"name": "a", "routing_key": "k"}]
    assert described_queues(["a", "b"]) == [{"name": "a"}, {"name": "b"}]
    assert described_queues(None) == []
