"""Conditions on a cluster's figures, for `watch`: `queued > 1000 or fail > 5%`, or a task filter.

    condition = terms joined by "and"; conditions are joined by "or"
    term      = figure comparison value | "queue:" NAME "." figure ... | "type:" NAME "." figure ...
    value     = number | number "%" | duration (500ms, 2s, 10m)
    or        = "tasks:" filter, which holds when a task that is seen matches

A figure that is not known fulfils nothing.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from tqconsole.core.errors import FilterError
from tqconsole.core.filter import compile_filter
from tqconsole.core.filter_values import number_of
from tqconsole.core.port import ConsoleSession
from tqconsole.core.type_views import TypeView
from tqconsole.core.views import QueueView, Snapshot

_COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "!=": operator.ne,
    "==": operator.eq,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
}
_TERM = re.compile(
    r"(?:(?P<kind>queue|type):(?P<subject>\S+)\.)?(?P<figure>[a-z]\w*)\s*"
    r"(?P<sign>>=|<=|!=|==|>|<|=)\s*(?P<value>[\d.]+\s*(?:(?:ms|[smhdw])\b|%)?)",
    re.IGNORECASE,
)
_TASKS = "tasks:"

_OF_CLUSTER: Mapping[str, Callable[[Snapshot], float | None]] = {
    "workers": lambda it: it.totals.workers_online,
    "active": lambda it: it.totals.active_count,
    "queued": lambda it: it.totals.queued_count,
    "unacked": lambda it: _sum(queue.unacked_count for queue in it.queues),
    "dead": lambda it: _sum(queue.dead_count for queue in it.queues),
    "done": lambda it: it.totals.done_per_s,
    "fail": lambda it: it.totals.failed_ratio * 100,
    "retries": lambda it: it.totals.retries_per_s,
    "p95": lambda it: it.totals.p95_s,
    "events": lambda it: it.events_per_s,
    "missed": lambda it: it.missed_count,
    "attention": lambda it: len(it.attention),
}
_OF_QUEUE: Mapping[str, Callable[[QueueView], float | None]] = {
    "ready": lambda it: it.ready_count,
    "unacked": lambda it: it.unacked_count,
    "parked": lambda it: it.parked_count,
    "dead": lambda it: it.dead_count,
    "consumers": lambda it: it.consumer_count,
    "in": lambda it: it.in_per_s,
    "out": lambda it: it.out_per_s,
    "oldest": lambda it: it.oldest_s,
    "drains": lambda it: it.drains_in_s,
}
_OF_TYPE: Mapping[str, Callable[[TypeView], float | None]] = {
    "rate": lambda it: it.rate_per_s,
    "count": lambda it: it.count,
    "fail": lambda it: it.failed_ratio * 100,
    "retried": lambda it: it.retried_count,
    "wait": lambda it: it.wait_p95_s,
    "p50": lambda it: it.p50_s,
    "p95": lambda it: it.p95_s,
    "p99": lambda it: it.p99_s,
}


@dataclass(frozen=True, slots=True)
class Term:
    """One comparison; `text` is how it was written."""

    text: str
    figure: Callable[[Snapshot], float | None]
    compare: Callable[[float, float], bool]
    value: float

    def holds(self, snapshot: Snapshot) -> float | None:
        """Return the figure when the comparison holds, None otherwise."""
        found = self.figure(snapshot)
        return found if found is not None and self.compare(found, self.value) else None


class Condition:
    """What is watched for."""

    def __init__(self, text: str) -> None:
        """Raises: FilterError, with the column where the text cannot be understood."""
        self._filter = ""
        self._alternatives: list[list[Term]] = []
        if text.lstrip().startswith(_TASKS):
            self._filter = text.lstrip().removeprefix(_TASKS).strip()
            if not self._filter:
                raise FilterError(f"a filter is missing behind {_TASKS}", len(text))
            compile_filter(self._filter)
        else:
            self._alternatives = _parsed(text)

    def reason(self, snapshot: Snapshot, session: ConsoleSession) -> str:
        """Return what holds, with its figures; "" while nothing does."""
        if self._filter:
            count = len(session.tasks(self._filter))
            return f"{count:,} tasks match {self._filter}" if count else ""
        for terms in self._alternatives:
            found = [(term, term.holds(snapshot)) for term in terms]
            if all(value is not None for _, value in found):
                return ", ".join(f"{term.text} ({value:,.6g})" for term, value in found)
        return ""


def _parsed(text: str) -> list[list[Term]]:
    alternatives: list[list[Term]] = [[]]
    at = 0
    while True:
        at += len(text[at:]) - len(text[at:].lstrip())
        match = _TERM.match(text, at)
        if match is None:
            raise FilterError(_help(text[at:]), at)
        alternatives[-1].append(_term(match))
        rest = text[match.end() :].lstrip()
        if not rest:
            return alternatives
        at = len(text) - len(rest)
        word = rest.split(maxsplit=1)[0].lower()
        if word not in ("and", "or"):
            raise FilterError(f"'and' or 'or' is wanted before {word!r}", at)
        if word == "or":
            alternatives.append([])
        at += len(word)


def _help(rest: str) -> str:
    said = f"{rest.split(maxsplit=1)[0]!r} is no condition" if rest else "a condition is missing"
    return f"{said}: write FIGURE > VALUE, e.g. queued > 1000, queue:mail.oldest > 5m, fail > 5%"


def _term(match: re.Match[str]) -> Term:
    kind, name, figure = match["kind"], match["subject"], match["figure"].lower()
    figures: Mapping[str, object] = {
        None: _OF_CLUSTER,
        "queue": _OF_QUEUE,
        "type": _OF_TYPE,
    }[kind.lower() if kind else None]
    if figure not in figures:
        of = f"of a {kind.lower()} " if kind else ""
        known = ", ".join(figures)
        raise FilterError(f"no figure {of}is called {figure!r}: {known}", match.start("figure"))
    value = number_of(match["value"].replace(" ", "").rstrip("%"), match.start("value"))
    return Term(
        match.group().strip(),
        _figure(kind.lower() if kind else "", name or "", figure),
        _COMPARISONS[match["sign"]],
        value,
    )


def _figure(kind: str, name: str, figure: str) -> Callable[[Snapshot], float | None]:
    if kind == "queue":
        of_queue = _OF_QUEUE[figure]
        return lambda it: next((of_queue(row) for row in it.queues if row.name == name), None)
    if kind == "type":
        of_type = _OF_TYPE[figure]
        return lambda it: next((of_type(row) for row in it.types if row.name == name), None)
    return _OF_CLUSTER[figure]


def _sum(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
