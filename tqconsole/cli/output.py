"""All printing of the command line. stdout is data, stderr is everything else.

Text that came from a cluster is cleaned here before a terminal sees it: a task's name must not be
able to move the cursor. JSON needs no cleaning, it is escaped.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pprint import pformat
from typing import Any

import click

from tqconsole.core.sanitize import clean, clean_lines

#: Characters of one reply that are shown as text; `--json` has no limit.
REPLY_CHARS = 200_000


class Output:
    """Prints for one invocation."""

    def __init__(
        self, *, is_quiet: bool = False, is_json: bool = False, has_color: bool = True
    ) -> None:
        self.is_quiet = is_quiet
        self.is_json = is_json
        self._has_color = has_color and not os.environ.get("NO_COLOR")

    def line(self, text: str = "") -> None:
        """Print a line of data."""
        click.echo(text, color=None if self._has_color else False)

    def text(self, text: object) -> None:
        """Print text of a cluster's, cleaned, with its line ends."""
        self.line(clean_lines(text, REPLY_CHARS))

    def json(self, value: Any) -> None:
        """Print a value as one line of JSON; what JSON does not know becomes its repr."""
        click.echo(json.dumps(value, default=repr))

    def note(self, text: str) -> None:
        """Say something beside the data; nothing when quiet."""
        if not self.is_quiet:
            click.echo(text, err=True, color=None if self._has_color else False)

    def error(self, text: str) -> None:
        """Say what went wrong, on one line."""
        click.echo(f"{self.style('Error:', fg='red')} {clean(text, REPLY_CHARS)}", err=True)

    def style(self, text: str, **look: Any) -> str:
        """Return `text` coloured where colours are wanted and seen."""
        return click.style(text, **look) if self._has_color and sys.stderr.isatty() else text

    def table(self, headings: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Print columns, as wide as they need to be; the last one is left as it is."""
        cells = [[clean(cell) for cell in row] for row in rows]
        widths = [
            max(len(heading), *(len(row[index]) for row in cells)) if cells else len(heading)
            for index, heading in enumerate(headings)
        ]
        for row in [list(headings), *cells]:
            padded = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
            self.line("  ".join(padded).rstrip())

    def reply(self, node: str, value: Any, *, has_body: bool = True) -> None:
        """Print one node's answer in Celery's shape: `->  w1@host: OK` and the value, indented."""
        word, body = readable(value)
        arrow = "" if self.is_quiet else f"{self.style('->', bold=True)} "
        color = "green" if word == "OK" else "red"
        self.line(f"{arrow} {clean(node)}: {self.style(word, fg=color, bold=True)}")
        if has_body and body:
            self.line(indented(clean_lines(body, REPLY_CHARS)))


def readable(value: Any) -> tuple[str, str]:
    """Return OK or ERROR, and a reply's value as text, as Celery writes them."""
    if isinstance(value, dict) and "ok" in value:
        return "OK", indented(readable(value["ok"])[1])
    if isinstance(value, dict) and "error" in value:
        return "ERROR", indented(readable(value["error"])[1])
    if isinstance(value, list):
        return "OK", "\n".join(f"* {item}" for item in value) if value else "- empty -"
    if isinstance(value, dict):
        return "OK", json.dumps(value, sort_keys=True, indent=4, default=repr)
    return "OK", value if isinstance(value, str) else pformat(value)


def indented(text: str) -> str:
    """Return `text` with each line four columns to the right."""
    return "\n".join(f"    {line}" for line in text.splitlines())


def plural(count: int, noun: str) -> str:
    """Return `1 node`, `2 nodes`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
