"""Errors are counted by exception class, whichever way their text is written."""

from __future__ import annotations

import pytest

from tqconsole.core.error_groups import KIND_LIMIT, ErrorGroups, error_kind

NOW = 1_795_183_351.0


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("OSError('no such file')", "OSError"),
        ("OSError: no such file", "OSError"),
        ("smtplib.SMTPServerDisconnected('bye')", "SMTPServerDisconnected"),
        ("MemoryError()", "MemoryError"),
        ("", "?"),
        ("<exception that cannot be shown>", "?"),
    ],
)
def test_the_kind_is_the_class(text, kind):
    assert error_kind(text) == kind


def test_groups_count_and_keep_the_newest():
    groups = ErrorGroups()
    groups.note("OSError('first')", "1", NOW)
    groups.note("KeyError('x')", "2", NOW + 1)
    groups.note("OSError('last')", "3", NOW + 2)

    first, second = groups.views()

    assert (first.kind, first.count, first.text, first.task_id) == (
        "OSError",
        2,
        "OSError('last')",
        "3",
    )
    assert (second.kind, second.count, second.last_at) == ("KeyError", 1, NOW + 1)


def test_the_kind_not_seen_for_longest_goes():
    groups = ErrorGroups()
    for number in range(KIND_LIMIT + 1):
        groups.note(f"Error{number}()", str(number), NOW + number)

    kinds = {group.kind for group in groups.views()}

    assert len(kinds) == KIND_LIMIT
    assert "Error0" not in kinds
