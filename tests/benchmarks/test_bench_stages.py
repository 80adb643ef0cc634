"""The table of stages, there and back, and its place in the page."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.stage_table import (
    BEGIN,
    END,
    Sheet,
    beside,
    read_table,
    sheets_of,
    table_lines,
    write_section,
)

SOLO = Sheet("redis, solo", {"client: send": 9.0, "run, whole": 12.5, "  of it: decode": 2.25})
PREFORK = Sheet("redis, prefork", {"run, whole": 14.0, "pipe: encode": 0.5})


def test_a_table_is_read_as_it_was_written() -> None:
    assert read_table("\n".join(table_lines([SOLO, PREFORK]))) == [SOLO, PREFORK]


def test_the_sum_has_neither_parts_nor_the_client() -> None:
    assert list(table_lines([SOLO, PREFORK]))[-1] == "| **sum** | **12.50** | **14.50** |"


def test_other_text_is_no_table() -> None:
    with pytest.raises(ValueError, match="no table of stages"):
        read_table("Traceback (most recent call last):")


def test_the_same_column_of_an_earlier_commit_stands_beside() -> None:
    before = Sheet("redis, solo", {"run, whole": 20.0})

    shown = beside([before], [SOLO, PREFORK])

    assert [it.title for it in shown] == [
        *("redis, solo: before", "redis, solo: now", "redis, prefork: now"),
    ]
    assert shown[0].stages == {"run, whole": 20.0}


def test_the_section_of_a_page_is_replaced_and_the_rest_stays(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text("# Performance\n")

    write_section(page, ["one"])
    page.write_text(page.read_text() + "by hand\n")
    write_section(page, ["two"])

    assert page.read_text() == f"# Performance\n\n{BEGIN}\ntwo\n{END}\nby hand\n"


def test_a_commit_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="nosuchcommit"):
        sheets_of("nosuchcommit", [])
