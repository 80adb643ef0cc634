"""What the console says it costs."""

from __future__ import annotations

import os

from tqconsole.core.own_usage import SPAN_S, OwnUsage, cpu_s, resident_bytes
from tqconsole.engine.clock import ManualClock
from tqconsole.widgets import figures


def test_the_share_is_that_of_the_last_span():
    clock, used = ManualClock(), [10.0]
    usage = OwnUsage(clock, lambda: used[0])
    assert usage.reading() is None

    clock.advance(SPAN_S)
    used[0] += SPAN_S / 4
    assert usage.reading().cpu_ratio == 0.25

    clock.advance(SPAN_S / 2)
    used[0] += 5.0
    assert usage.reading().cpu_ratio == 0.25, "a span is not over"

    clock.advance(SPAN_S)
    assert usage.reading().cpu_ratio == 5.0 / (SPAN_S * 1.5)


def test_the_figures_are_this_processs():
    before = cpu_s()
    sum(range(3_000_000))
    held = bytearray(os.urandom(1)) * 60_000_000

    assert cpu_s() > before
    assert resident_bytes() > len(held)


def test_a_process_costs_a_share_and_memory():
    assert figures.usage(0.043, 92 << 20) == "4 % CPU, 92 MiB"
    assert figures.usage(1.5, None) == "150 % CPU"
