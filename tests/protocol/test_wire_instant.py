"""Instants as text: Celery's, to the microsecond."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tqconsole.engine.protocol.instant import epoch_instant, iso_instant


@given(st.floats(min_value=-1e9, max_value=2e11))
def test_text_is_that_of_datetime(at: float) -> None:
    assert iso_instant(at) == datetime.fromtimestamp(at, UTC).isoformat()


@pytest.mark.parametrize(
    "at", [0.0, 1.8e9, 1.8e9 - 1e-7, 1.8e9 + 5e-7, 1.8e9 + 0.999_999_9, 1_800_000_000.25]
)
def test_rounding_is_that_of_datetime(at: float) -> None:
    assert iso_instant(at) == datetime.fromtimestamp(at, UTC).isoformat()


def test_text_is_read_back() -> None:
    assert epoch_instant(iso_instant(1_800_000_000.25)) == 1_800_000_000.25


@pytest.mark.parametrize("at", [float("nan"), float("inf"), 1e12])
def test_no_instant_is_an_error(at: float) -> None:
    with pytest.raises((ValueError, OverflowError)):
        iso_instant(at)
