"""What workers answer to `inspect`, as tables."""

from tqconsole.core.inspection import inspected
from tqconsole.engine.control.answer import Answers
from tqconsole.engine.protocol.instant import iso_instant

NOW_AT = 1_795_183_351.0


def test_what_is_scheduled_says_what_it_is_and_when_it_is_due() -> None:
    request = {"id": "t1", "name": "mail.send", "args": [7], "kwargs": {}}
    etas = (iso_instant(NOW_AT + 372), iso_instant(NOW_AT - 1), "no date")
    entries = [{"eta": eta, "priority": 6, "request": request} for eta in etas]

    shown = inspected("w1@h", "scheduled", Answers({"w1@h": entries}), NOW_AT)

    assert shown.columns[:4] == ("ID", "NAME", "DUE IN", "ARGS")
    assert [row[:4] for row in shown.rows] == [
        ("t1", "mail.send", "6m12s", "[7]"),
        ("t1", "mail.send", "due", "[7]"),
        ("t1", "mail.send", "", "[7]"),
    ]
    assert shown.rows[0][-1] == etas[0]
