import pytest
from hypothesis import given
from hypothesis import strategies as st

from tqconsole.core.errors import FilterError
from tqconsole.core.filter import FilterContext, compile_filter
from tqconsole.core.views import TaskRow

NOW = 1_800_000_000.0
CONTEXT = FilterContext(now=lambda: NOW, p99_s=lambda name: {"img.resize": 2.0}.get(name))


def row(task_id, **facts):
    made = TaskRow(task_id, 1)
    for name, value in facts.items():
        setattr(made, name, value)
    return made


ROWS = [
    row(
        "9f3c1a20",
        name="img.resize",
        state="FAILURE",
        worker="w2@ip",
        queue="img",
        args="(91, 'thumb')",
        kwargs="{}",
        exception="OSError('cannot identify')",
        runtime_s=1.2,
        sent_at=NOW - 30,
        started_at=NOW - 29,
        retries=2,
    ),
    row(
        "1b22de09",
        name="mail.send",
        state="SUCCESS",
        worker="w9@ip",
        queue="mail",
        args="()",
        kwargs="{'user': 5, 'kind': 'welcome'}",
        result="'sent'",
        runtime_s=0.05,
        sent_at=NOW - 900,
        started_at=NOW - 899.5,
    ),
    row("c0ffee77", name="report.build", state="STARTED", worker="w3@ip", started_at=NOW - 2460),
    row("5d00aa10", name="img.resize", state="STARTED", worker="w7@ip", is_lost=True, root_id="r1"),
]


def found(text, saved=None):
    compiled = compile_filter(text, CONTEXT, saved)
    by_row = [item.task_id for item in ROWS if compiled.matches(item)]
    assert by_row == [item.task_id for item in compiled.select(ROWS)]
    return [task_id[0] for task_id in by_row]


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("", "91c5"),
        ("  ", "91c5"),
        ("IMG", "95"),
        ("oserror", "9"),
        ("c0ff", "c"),
        ("name:img", "95"),
        ("name:img.*", "95"),
        ("name:*send", "1"),
        ("name=img.resize", "95"),
        ("name=img", ""),
        ("name!=img.resize", "1c"),
        (r"name~^img\.", "95"),
        ("state:FAILURE name:img", "9"),
        ("state:failure", "9"),
        ("state:succ", "1"),
        ("state:FAILURE,SUCCESS", "91"),
        ("state!=STARTED", "91"),
        ("state:LOST", "5"),
        ("name:img OR name:mail", "915"),
        ("name:img AND is:lost", "5"),
        ("NOT name:img", "1c"),
        ("-name:img", "1c"),
        ("!img", "1c"),
        ("-(name:img OR name:mail)", "c"),
        ("(name:img OR name:mail) state:SUCCESS", "1"),
        ("runtime>1s", "9c"),
        ("runtime>=50ms runtime<1s", "1"),
        ("runtime:1s..2s", "9"),
        ("wait>=500ms", "91"),
        ("age<10m", "9"),
        ("age>=15m", "1c"),
        ("retries>0", "9"),
        ("retries:2", "9"),
        ("is:running", "c5"),
        ("is:problem", "95"),
        ("is:lost", "5"),
        ("is:done", "91"),
        ("is:waiting", ""),
        ("is:retried", "9"),
        ("kwargs:user=5", "1"),
        ("kwargs:user=55", ""),
        ("kwargs:kind=wel*", "1"),
        ("kwargs:kind=wel", ""),
        ("args:thumb", "9"),
        ('args:"(91, "', "9"),
        ('"cannot identify"', "9"),
        ("exc:cannot", "9"),
        ("worker:w2@ip", "9"),
        ("queue:mail", "1"),
        ("id:9f3", "9"),
        ("root:r1", "5"),
        ("started>2000-01-01T00:00", "91c"),
        ("-f igrz", "95"),
        ("result:sent", "1"),
    ],
)
def test_filter_finds(text, ids):
    assert "".join(found(text)) == ids


def test_slow_is_longer_than_the_p99_of_its_type():
    slow = row("s", name="img.resize", state="SUCCESS", runtime_s=2.5)
    quick = row("q", name="img.resize", state="SUCCESS", runtime_s=1.5)
    unknown = row("u", name="else", state="SUCCESS", runtime_s=99.0)

    compiled = compile_filter("is:slow", CONTEXT)

    assert [item.task_id for item in (slow, quick, unknown) if compiled.matches(item)] == ["s"]
    assert compiled.is_timed


def test_a_saved_filter_is_used_by_its_name():
    assert found("@bad -is:lost", {"bad": "is:problem"}) == ["9"]


def test_time_of_day_is_of_today():
    compiled = compile_filter("started>00:00", CONTEXT)

    assert compiled.matches(row("x", started_at=NOW + 86400))
    assert not compiled.matches(row("x", started_at=NOW - 2 * 86400))


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("stat:FAILURE", 0, "did you mean state"),
        ("ok http://x", 3, "no field"),
        ("name:", 5, "wants a value"),
        ("(name:a", 0, "not closed"),
        ("name:a)", 6, "never opened"),
        ("()", 0, "nothing"),
        ("a OR", 4, "missing"),
        ("OR a", 0, "missing"),
        ('a "b', 2, "not closed"),
        ("name~[", 0, "regular expression"),
        ("runtime>soon", 8, "no number"),
        ("started>noon", 8, "no time"),
        ("is:odd", 0, "knows"),
        ("name>3", 0, "cannot be compared"),
        ("@nope", 0, "no filter was saved"),
        ("NOT", 3, "missing"),
        ("(" * 500, 50, "deeply"),
    ],
)
def test_a_bad_filter_says_what_and_where(text, column, words):
    with pytest.raises(FilterError, match=words) as caught:
        compile_filter(text, CONTEXT)

    assert caught.value.column == column


def test_a_filter_that_names_itself_ends():
    with pytest.raises(FilterError):
        compile_filter("@a", CONTEXT, {"a": "@a"})


@given(st.text(alphabet=' ()"-!@:~<>=*?.ANDORTnameis10ms\\', max_size=40))
def test_any_text_compiles_or_is_refused_with_a_column(text):
    columns = []
    try:
        compiled = compile_filter(text, CONTEXT)
    except FilterError as error:
        columns.append(error.column)
        compiled = compile_filter("", CONTEXT)

    assert all(0 <= column <= len(text) for column in columns)
    assert compiled.select(ROWS) == [item for item in ROWS if compiled.matches(item)]
