"""The fields of the filter language: each makes a test of task rows out of one term."""

from __future__ import annotations

import difflib
import fnmatch
import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter

from tqconsole.core.errors import FilterError
from tqconsole.core.filter_parser import Term
from tqconsole.core.filter_values import instant_of, number_of, range_of
from tqconsole.core.merge import ENDED, PROBLEMS, RESTING
from tqconsole.core.views import PAST, TaskRow
from tqconsole.engine import states


def _never_now() -> float:
    return 0.0


def _no_quantile(_task_name: str) -> float | None:
    return None


@dataclass(frozen=True, slots=True)
class FilterContext:
    """What terms ask beyond the row: the time now, and the p99 run time of a task type."""

    now: Callable[[], float] = _never_now
    p99_s: Callable[[str], float | None] = _no_quantile


@dataclass(frozen=True, slots=True)
class Test:
    """A condition in two forms: for one row, and for a list (faster by a multiple)."""

    matches: Callable[[TaskRow], bool]
    select: Callable[[Sequence[TaskRow]], list[TaskRow]]
    is_timed: bool = False


#: What `is:` knows, with what it means.
IS_WORDS = {
    "running": "a worker has started it",
    "waiting": "sent, received or to be retried",
    "done": "succeeded, failed, revoked or rejected",
    "problem": "failed, retried, revoked, rejected or lost",
    "failed": "failed",
    "lost": "its worker is gone and nobody told how it ended",
    "moved": "was handed on by a worker that had started it",
    "slow": "took, or runs, longer than the p99 of its type",
    "retried": "has been retried at least once",
    "past": "was seen by an earlier run of the console, and nothing was heard since",
}

#: Language field -> attribute, for fields with few different values (they repeat in many rows).
_REPEATING = {"name": "name", "type": "name", "worker": "worker", "queue": "queue"}
#: Language field -> attribute, for fields whose values are mostly unlike.
_TEXTS = {
    "id": "task_id",
    "args": "args",
    "kwargs": "kwargs",
    "result": "result",
    "exc": "exception",
    "exception": "exception",
    "traceback": "traceback",
    "root": "root_id",
    "parent": "parent_id",
    "source": "source",
}
_DURATIONS = frozenset({"runtime", "wait", "age"})
_INSTANTS = {
    "sent": "sent_at",
    "received": "received_at",
    "started": "started_at",
    "ended": "ended_at",
}

#: All fields, in the order they are offered.
FIELDS: tuple[str, ...] = (
    "state",
    "name",
    "worker",
    "queue",
    "is",
    *sorted({"id", "args", "kwargs", "result", "exc", "traceback", "root", "parent", "source"}),
    "runtime",
    "wait",
    "age",
    "retries",
    *_INSTANTS,
)

_COMPARE: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "=": operator.eq,
    ":": operator.eq,
    "!=": operator.ne,
}


def test_of(term: Term, context: FilterContext) -> Test:
    """Return the test of one term. Raises: FilterError."""
    if term.operator == "fuzzy":
        return _fuzzy(term)
    if not term.field:
        return _bare(term)
    if term.field == "state":
        return _state(term)
    if term.field == "is":
        return _is(term, context)
    if term.field in _REPEATING:
        return _repeating(_REPEATING[term.field], term)
    if term.field == "kwargs" and term.operator == ":" and "=" in term.value:
        return _keyword(term)
    if term.field in _TEXTS:
        return _text(_TEXTS[term.field], term)
    return _measure(term, context)


def unknown_field(term: Term, known: Sequence[str] = FIELDS) -> FilterError:
    """Return the error for a field that does not exist, with the nearest that does."""
    near = difflib.get_close_matches(term.field, known, 1)
    hint = f"; did you mean {near[0]}:" if near else f'; quote it to search for it: "{term.field}:"'
    return FilterError(f"there is no field {term.field!r}{hint}", term.column)


def text_check(term: Term) -> Callable[[str], bool]:
    """Return what a text must satisfy: substring, glob, exact (`=`), other (`!=`) or regex (`~`).

    Raises: FilterError.
    """
    value = term.value.lower()
    if term.operator == "~":
        return _regex(term)
    if term.operator == "=":
        return lambda text: text.lower() == value
    if term.operator == "!=":
        return lambda text: text.lower() != value
    if term.operator != ":":
        raise FilterError(f"{term.field} is a text and cannot be compared", term.column)
    if not term.is_literal and ("*" in value or "?" in value):
        glob = re.compile(fnmatch.translate(value))
        return lambda text: glob.match(text.lower()) is not None
    return lambda text: value in text.lower()


def is_subsequence(needle: str, text: str) -> bool:
    """True when the characters of `needle` stand in `text` in that order."""
    rest = iter(text)
    return all(character in rest for character in needle)


def search_text(row: TaskRow) -> str:
    """Return all that bare words look through, in lower case; kept in the row until it changes."""
    joined = "\n".join(_SEARCHED(row)).lower()
    row.search = joined
    return joined


_SEARCHED = attrgetter("name", "task_id", "args", "kwargs", "result", "exception")


def _regex(term: Term) -> Callable[[str], bool]:
    try:
        pattern = re.compile(term.value, re.IGNORECASE)
    except re.error as error:
        raise FilterError(f"bad regular expression: {error}", term.column) from error
    return lambda text: pattern.search(text) is not None


def _bare(term: Term) -> Test:
    needle = term.value.lower()
    if not term.is_literal and ("*" in needle or "?" in needle):
        glob = re.compile(fnmatch.translate(f"*{needle}*"))
        return _plain(lambda row: glob.match(row.search or search_text(row)) is not None)

    def matches(row: TaskRow) -> bool:
        return needle in (row.search or search_text(row))

    def select(rows: Sequence[TaskRow]) -> list[TaskRow]:
        return [row for row in rows if needle in (row.search or search_text(row))]

    return Test(matches, select)


def _fuzzy(term: Term) -> Test:
    needle = term.value.lower()
    return _plain(lambda row: is_subsequence(needle, f"{row.name}\n{row.task_id}".lower()))


def _plain(matches: Callable[[TaskRow], bool], *, is_timed: bool = False) -> Test:
    return Test(matches, lambda rows: [row for row in rows if matches(row)], is_timed)


class _Remembered(dict[str, bool]):
    """Answers a check of a repeating text from memory."""

    def __init__(self, check: Callable[[str], bool]) -> None:
        super().__init__()
        self._check = check

    def __missing__(self, text: str) -> bool:
        answer = self[text] = self._check(text)
        return answer


def _repeating(attribute: str, term: Term) -> Test:
    check = text_check(term)
    read = attrgetter(attribute)

    def select(rows: Sequence[TaskRow]) -> list[TaskRow]:
        hits = _Remembered(check)
        return [row for row in rows if hits[read(row)]]

    return Test(lambda row: check(read(row)), select)


def _text(attribute: str, term: Term) -> Test:
    check = text_check(term)
    read = attrgetter(attribute)
    return Test(
        lambda row: check(read(row)), lambda rows: [row for row in rows if check(read(row))]
    )


def _keyword(term: Term) -> Test:
    """`kwargs:key=value` looks for that entry in the repr of the keyword arguments."""
    key, _, value = term.value.partition("=")
    if not key:
        raise FilterError("kwargs: wants key=value", term.column)
    parts = [re.escape(part) for part in value.split("*")] if value else [""]
    wanted = (".*" if term.is_literal is False else re.escape("*")).join(parts)
    pattern = re.compile(
        rf"""['"]{re.escape(key)}['"]:\s*['"]?{wanted}['"]?\s*(?:[,}})\]]|$)""", re.IGNORECASE
    )
    return _plain(lambda row: pattern.search(row.kwargs) is not None)


def _state(term: Term) -> Test:
    if term.operator not in (":", "=", "!="):
        raise FilterError("state: wants a name, as in state:FAILURE", term.column)
    wanted: set[str] = set()
    for word in term.value.upper().split(","):
        wanted.update(_states_named(word))
    wants_lost = "LOST" in wanted
    is_negated = term.operator == "!="

    def matches(row: TaskRow) -> bool:
        return (row.state in wanted or (wants_lost and row.is_lost)) != is_negated

    if is_negated or wants_lost:
        return _plain(matches)
    return Test(matches, lambda rows: [row for row in rows if row.state in wanted])


def _states_named(word: str) -> set[str]:
    """A whole name, or the beginning of some; anything else is taken for a custom state."""
    known = {*states.ALL_STATES, states.REJECTED, "LOST"}
    if word in known:
        return {word}
    beginning = {state for state in known if word and state.startswith(word)}
    return beginning or {word}


def _is(term: Term, context: FilterContext) -> Test:
    word = term.value.lower()
    simple = _IS_TESTS.get(word)
    if term.operator == ":" and simple is not None:
        return _plain(simple)
    if term.operator == ":" and word == "slow":
        return _plain(lambda row: _is_slow(row, context), is_timed=True)
    raise FilterError(f"is: knows {', '.join(IS_WORDS)}", term.column)


def _is_running(row: TaskRow) -> bool:
    return row.state not in RESTING


def _is_problem(row: TaskRow) -> bool:
    return row.state in PROBLEMS or row.is_lost


_WAITING = frozenset({states.PENDING, states.RECEIVED, states.RETRY, "CANCELLED"})

_IS_TESTS: dict[str, Callable[[TaskRow], bool]] = {
    "running": _is_running,
    "waiting": lambda row: row.state in _WAITING,
    "done": lambda row: row.state in ENDED,
    "problem": _is_problem,
    "failed": lambda row: row.state == states.FAILURE,
    "lost": lambda row: row.is_lost,
    "moved": lambda row: bool(row.lost_by),
    "retried": lambda row: row.retries > 0 or row.state == states.RETRY,
    "past": lambda row: row.source == PAST,
}


def running_s(row: TaskRow, now_at: float) -> float | None:
    """Return how long it ran, or has been running; None while it did not start."""
    if row.state not in RESTING and row.started_at is not None:
        return max(0.0, now_at - row.started_at)
    return row.runtime_s


def _is_slow(row: TaskRow, context: FilterContext) -> bool:
    ran_s = running_s(row, context.now())
    if ran_s is None:
        return False
    p99_s = context.p99_s(row.name)
    return p99_s is not None and ran_s > p99_s


def _measure(term: Term, context: FilterContext) -> Test:
    if term.operator == "~":
        if term.field in _DURATIONS or term.field in _INSTANTS or term.field == "retries":
            raise FilterError(f"{term.field} is a number: compare it with > or <", term.column)
        raise unknown_field(term)
    if term.field == "retries":
        return _compared(attrgetter("retries"), term, number_of)
    if term.field in _DURATIONS:
        return _duration(term, context)
    if term.field in _INSTANTS:
        read = attrgetter(_INSTANTS[term.field])
        now_at = context.now()
        return _compared(read, term, lambda text, column: instant_of(text, column, now_at))
    raise unknown_field(term)


def _duration(term: Term, context: FilterContext) -> Test:
    if term.field == "wait":
        return _compared(attrgetter("wait_s"), term, number_of)
    if term.field == "runtime":
        test = _compared(lambda row: running_s(row, context.now()), term, number_of)
    else:
        test = _compared(lambda row: age_s(row, context.now()), term, number_of)
    return Test(test.matches, test.select, is_timed=True)


def age_s(row: TaskRow, now_at: float) -> float | None:
    """Return how long ago the task was sent, or first heard of."""
    at = row.sent_at or row.received_at or row.started_at or row.updated_at
    return max(0.0, now_at - at) if at else None


def _compared(
    read: Callable[[TaskRow], float | None], term: Term, parse: Callable[[str, int], float]
) -> Test:
    column = term.column + len(term.field) + len(term.operator)
    bounds = range_of(term.value)
    if term.operator == ":" and bounds is not None:
        least, most = parse(bounds[0], column), parse(bounds[1], column)

        def is_between(row: TaskRow) -> bool:
            value = read(row)
            return value is not None and least <= value <= most

        return _plain(is_between)
    compare, right = _COMPARE[term.operator], parse(term.value, column)

    def matches(row: TaskRow) -> bool:
        left = read(row)
        return left is not None and compare(left, right)

    return _plain(matches)
