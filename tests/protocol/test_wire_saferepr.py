from __future__ import annotations

from typing import Any

import pytest
from celery.utils.saferepr import saferepr as celerys
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tqconsole.engine.protocol.saferepr import saferepr

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=30)
    | st.binary(max_size=20)
    | st.decimals()
    | st.frozensets(st.integers(), max_size=3)
    | st.just(range(3))
)
KEYS = st.text(max_size=8) | st.integers() | st.tuples(st.integers())
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.tuples()
        | st.tuples(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(KEYS, inner, max_size=4)
    ),
    max_leaves=30,
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(VALUES, st.integers(1, 200) | st.just(1024), st.integers(1, 4))
def test_text_and_cuts_are_celerys(value: Any, max_chars: int, max_levels: int) -> None:
    assert saferepr(value, max_chars, max_levels) == celerys(value, max_chars, max_levels)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ((2, 3), "(2, 3)"),
        ((1,), "(1,)"),
        ((), "()"),
        ({}, "{}"),
        (("it's", None), "('it\\'s', None)"),
        ([[[[1]]]], "[[[[...]]]]"),
        ({"a": {1, 2}}, "{'a': {1, 2}}"),
        ({"a": set()}, "{'a': set()}"),
        ((b"\xff\x00",), "(b'ff00',)"),
    ],
)
def test_plain_values_read_as_in_celery(value: Any, text: str) -> None:
    assert saferepr(value) == text


def test_cycle_is_named_and_not_followed() -> None:
    endless: list[Any] = []
    endless.append(endless)
    assert saferepr(endless) == f"[<Recursion on list with id={id(endless)}>]"


def test_failing_repr_does_not_fail_the_call() -> None:
    class Nasty:
        def __repr__(self) -> str:
            raise ZeroDivisionError

    assert "Unrepresentable" in saferepr((Nasty(),))


def test_integer_too_long_for_python_is_shown_as_such() -> None:
    assert "too long to show" in saferepr((10**5000,))


def test_huge_arguments_cost_little_and_stay_short() -> None:
    assert len(saferepr((list(range(1_000_000)), "x" * 1_000_000, {"k": [0] * 10**6}))) < 1100


def test_unlimited_levels_are_zero() -> None:
    assert saferepr([[[[[1]]]]], 1024, 0) == "[[[[[1]]]]]"
