"""The table of stages: as text, read back from text, and its place in `docs/performance.md`.

An earlier commit's stages are taken by its own `benchmarks.stages`, from an archive of it, in the
same session: figures of two sessions are not to be compared.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent
#: What stands between these two lines of the page is written anew.
BEGIN, END = "<!-- stages: begin -->", "<!-- stages: end -->"
#: How the names of stages begin that are parts of another, or another process's.
_NOT_ADDED = ("  of it", "client")


@dataclass(slots=True)
class Sheet:
    """One column: stage -> microseconds per task."""

    title: str
    stages: dict[str, float] = field(default_factory=dict)

    @property
    def total(self) -> float:
        """The worker's sum."""
        return sum(us for name, us in self.stages.items() if not name.startswith(_NOT_ADDED))


def table_lines(sheets: Sequence[Sheet]) -> Iterator[str]:
    """Return the columns as one table."""
    names = list(dict.fromkeys(name for sheet in sheets for name in sheet.stages))
    yield "| CPU us per task | " + " | ".join(sheet.title for sheet in sheets) + " |"
    yield "|---|" + "---:|" * len(sheets)
    for name in names:
        cells = [f"{it.stages[name]:.2f}" if name in it.stages else "-" for it in sheets]
        shown = name.strip() if not name.startswith(" ") else f"- {name.strip()}"
        yield f"| {shown} | " + " | ".join(cells) + " |"
    yield "| **sum** | " + " | ".join(f"**{sheet.total:.2f}**" for sheet in sheets) + " |"


def read_table(text: str) -> list[Sheet]:
    """Return the columns of a table that `table_lines` made. Raises: ValueError for other text."""
    rows = [
        [cell.strip() for cell in line.strip("| ").split("|")]
        for line in text.splitlines()
        if line.startswith("|") and not line.startswith("|--")
    ]
    if not rows or rows[0][0] != "CPU us per task":
        raise ValueError("this is no table of stages")
    sheets = [Sheet(title) for title in rows[0][1:]]
    for name, *cells in rows[1:]:
        if name == "**sum**":
            continue
        stage = f"  {name[2:]}" if name.startswith("- ") else name
        for sheet, cell in zip(sheets, cells, strict=True):
            if cell != "-":
                sheet.stages[stage] = float(cell)
    return sheets


def sheets_of(commit: str, options: Sequence[str]) -> list[Sheet]:
    """Return what the stages of an earlier commit are, measured now, here.

    Raises: ValueError when there is no such commit or it cannot be measured.
    """
    with tempfile.TemporaryDirectory(prefix="tq-before-") as folder:
        packed = subprocess.run(
            ["git", "archive", commit, "tqconsole", "benchmarks", "tests"],
            cwd=ROOT,
            capture_output=True,
        )
        if packed.returncode:
            raise ValueError(f"{commit}: {packed.stderr.decode().strip()}")
        with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
            archive.extractall(folder, filter="data")
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.stages", *options],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": folder},
            capture_output=True,
            text=True,
        )
    if done.returncode:
        raise ValueError(f"{commit} cannot be measured: {done.stderr.strip()[-300:]}")
    return read_table(done.stdout)


def beside(before: Sequence[Sheet], now: Sequence[Sheet]) -> list[Sheet]:
    """Return columns of the same title side by side."""
    earlier = {sheet.title: sheet for sheet in before}
    found: list[Sheet] = []
    for sheet in now:
        if sheet.title in earlier:
            found.append(Sheet(f"{sheet.title}: before", earlier[sheet.title].stages))
        found.append(Sheet(f"{sheet.title}: now", sheet.stages))
    return found


def write_section(page: Path, lines: Sequence[str], *, name: str = "stages") -> None:
    """Put lines where that section stands in a page; at its end when it does not stand there yet.

    A section lies between `<!-- NAME: begin -->` and `<!-- NAME: end -->`.
    """
    text = page.read_text() if page.exists() else ""
    begin, end = (mark.replace("stages", name) for mark in (BEGIN, END))
    section = "\n".join([begin, *lines, end])
    if begin in text and end in text:
        head, _, rest = text.partition(begin)
        text = head + section + rest.partition(end)[2]
    else:
        text = f"{text.rstrip()}\n\n{section}\n"
    page.write_text(text)
