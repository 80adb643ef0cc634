import pytest
from event_builders import NOW
from hypothesis import given
from hypothesis import strategies as st

from tqconsole.core.sketch import ERROR_RATIO, Sketch, merged
from tqconsole.core.stats import Ring, Stats


@given(st.lists(st.floats(1e-5, 1e5), min_size=1, max_size=300), st.sampled_from([0.5, 0.95, 0.99]))
def test_a_quantile_is_right_within_its_error(values, ratio):
    sketch = Sketch()
    for value in values:
        sketch.add(value)

    exact = sorted(values)[max(0, -(-ratio * len(values) // 1).__int__() - 1)]

    assert sketch.quantiles((ratio,))[0] == pytest.approx(exact, rel=2 * ERROR_RATIO + 1e-9)


def test_sketches_add_up():
    halves = [Sketch(), Sketch()]
    for number in range(100):
        halves[number % 2].add(number + 1)

    assert merged(halves).quantiles((0.5,))[0] == pytest.approx(50, rel=0.05)


def test_an_empty_sketch_knows_nothing():
    assert Sketch().quantiles((0.5, 0.95)) == (None, None)


@pytest.mark.parametrize("value", [0.0, -1.0, 1e300])
def test_odd_values_are_counted_at_the_edge(value):
    sketch = Sketch()

    sketch.add(value)

    assert sketch.count == 1


def test_a_ring_forgets_what_has_come_round():
    ring = Ring(4)
    for second in range(6):
        ring.add(NOW + second, second)

    assert ring.values(NOW + 5) == (2.0, 3.0, 4.0, 5.0)
    assert ring.values(NOW + 8) == (5.0, 0.0, 0.0, 0.0)
    assert ring.values(NOW + 99) == (0.0,) * 4


def test_a_clock_that_steps_back_breaks_no_ring():
    ring = Ring(4)
    ring.add(NOW)
    ring.add(NOW - 100)

    assert ring.values(NOW)[-1] == 2.0


def test_charts_have_one_value_a_second():
    stats = Stats(NOW)
    stats.begin(NOW)
    for second in range(30):
        stats.note_end(NOW + second, "n", 0.5, is_failure=second % 2 == 0)
        stats.tick(NOW + second + 1)

    charts = stats.charts(NOW + 30)

    assert charts.done_per_s[-2:] == (0.0, 1.0)
    assert charts.failed_per_s[-2:] == (1.0, 0.0)
    assert charts.p95_s[-1] == pytest.approx(0.5, rel=0.05)
    assert len(charts.p95_s) == len(charts.done_per_s)


def test_charts_begin_where_knowledge_begins():
    stats = Stats(NOW)
    stats.begin(NOW + 100)
    stats.tick(NOW + 103)

    charts = stats.charts(NOW + 103)

    assert charts.done_per_s == (0.0, 0.0, 0.0)
    assert charts.p50_s == (None, None, None)


def test_a_console_that_has_heard_nothing_yet_has_no_charts():
    stats = Stats(NOW)

    assert stats.charts(NOW + 60).done_per_s == ()
    assert stats.columns(NOW + 60) == 0


def test_run_times_are_not_known_where_nothing_ran():
    stats = Stats(NOW)
    stats.begin(NOW)
    stats.note_end(NOW, "n", 0.5, is_failure=False)
    for second in range(1, 41):
        stats.tick(NOW + second)

    p50 = stats.charts(NOW + 40).p50_s

    assert p50[0] == pytest.approx(0.5, rel=0.05)
    assert p50[-1] is None
