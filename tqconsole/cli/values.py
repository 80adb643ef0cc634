"""What options and arguments may look like. A mistake is told in one line, with the way out."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from tqconsole.engine.protocol.limits import DEFAULT_LIMITS

if TYPE_CHECKING:
    ParamType = click.ParamType[Any]
else:
    # Generic in click's types only; older versions cannot be subscripted.
    ParamType = click.ParamType


#: Thirty years.
MOST_SECONDS = 1_000_000_000
#: Characters of a wrong value that an error message repeats.
_SHOWN_CHARS = 60


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}..."


class CommaList(ParamType):
    """Names separated by commas -> tuple of str."""

    name = "names"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Split at commas; empty parts are dropped."""
        if isinstance(value, tuple | list):
            return tuple(value)
        names = tuple(part.strip() for part in value.split(",") if part.strip())
        if not names:
            self.fail("a comma separated list of names is wanted", param, ctx)
        return names


class Json(ParamType):
    """A JSON value of one kind."""

    def __init__(self, kind: type, name: str, example: str) -> None:
        self.name = name
        self._kind = kind
        self._example = example

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Decode and look at the kind."""
        if isinstance(value, self._kind):
            return value
        try:
            decoded = json.loads(value)
        except (ValueError, RecursionError) as error:
            reason = "nested too deep" if isinstance(error, RecursionError) else error
            self.fail(
                f"{_short(value)} is no JSON ({reason}); write it as {self._example}", param, ctx
            )
        if not isinstance(decoded, self._kind):
            self.fail(f"{_short(value)} is no {self.name}; write it as {self._example}", param, ctx)
        return decoded


class Instant(ParamType):
    """An ISO 8601 date and time -> datetime with a zone (UTC where none is given)."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """Parse; a time without a zone is UTC, as in Celery."""
        if isinstance(value, datetime):
            return value
        try:
            instant = datetime.fromisoformat(value)
        except ValueError:
            self.fail(
                f"{value!r} is no ISO 8601 time; write it as 2027-01-31T12:00:00+00:00", param, ctx
            )
        return instant if instant.tzinfo is not None else instant.replace(tzinfo=UTC)


class InstantOrSeconds(Instant):
    """Seconds from now, or an ISO 8601 time."""

    name = "seconds or time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Take a number as seconds, all else as an instant."""
        try:
            seconds = float(value)
        except (TypeError, ValueError):
            return super().convert(value, param, ctx)
        return SECONDS.convert(seconds, param, ctx)


class Seconds(ParamType):
    """Seconds from now or before it, as far as a calendar goes."""

    name = "seconds"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read a number; what is none, or leads out of the calendar, is refused."""
        try:
            seconds = float(value)
        except ValueError:
            seconds = math.nan
        if not abs(seconds) <= MOST_SECONDS:
            self.fail(f"{value!r} is no number of seconds; at most {MOST_SECONDS}", param, ctx)
        return seconds


class Duration(Seconds):
    """More than no seconds: what a timer takes."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read a number above 0."""
        seconds = super().convert(value, param, ctx)
        if seconds <= 0:
            self.fail(f"{value!r} is no duration; it is more than 0 seconds", param, ctx)
        return seconds


class Name(ParamType):
    """The name of a task or queue, or an id: what every worker takes."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Refuse what would end in the dead letters."""
        if not value:
            self.fail("it is empty: leave it out or name it", param, ctx)
        if len(value.encode("utf-8", "replace")) > DEFAULT_LIMITS.name_bytes:
            self.fail(f"it is longer than {DEFAULT_LIMITS.name_bytes} bytes", param, ctx)
        if not value.isprintable():
            self.fail(f"{value!r} has characters that cannot be printed", param, ctx)
        return str(value)


class Autoscale(ParamType):
    """`10,3` or `10` -> (max, min); the order does not matter, as in Celery."""

    name = "max,min"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """Read one or two whole numbers."""
        if isinstance(value, tuple):
            return value[0], value[1]
        try:
            bounds = sorted(int(part) for part in value.split(","))
        except ValueError:
            bounds = []
        if len(bounds) not in (1, 2) or bounds[0] < 0:
            self.fail(f"{value!r} is no pair of numbers; write it as 10,3", param, ctx)
        return bounds[-1], bounds[0] if len(bounds) == 2 else 0


AUTOSCALE = Autoscale()
COMMA_LIST = CommaList()
JSON_ARRAY = Json(list, "array", "'[2, 2]'")
JSON_OBJECT = Json(dict, "object", "'{\"x\": 2}'")
INSTANT = Instant()
INSTANT_OR_SECONDS = InstantOrSeconds()
DURATION = Duration()
NAME = Name()
SECONDS = Seconds()
