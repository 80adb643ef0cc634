"""What each key of the key table is expected to bring about on the screen, for its test.

A row for each binding id: where one stands, what is pressed before, and what can be seen after.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fake import NOW_AT, FakeSession, make_flow

from tqconsole.console import Console
from tqconsole.core.actions import ActionRequest
from tqconsole.core.views import AuditLine
from tqconsole.widgets.table_screen import TableScreen


@dataclass(frozen=True)
class Effect:
    """`shows` is there after the key and was not before; `hides` was there and is not any more.

    `says` is the notice that comes. `holds` is asked of the app after the key, for what a text
    alone does not tell.
    """

    shows: str = ""
    hides: str = ""
    says: str = ""
    before: tuple[str, ...] = ()
    holds: Callable[[Console], bool] | None = None
    #: The screen to begin on, "" for that of the key's group; and how wide it is.
    start: str = ""
    width: int = 120


#: Group of the key table -> first screen, and what is pressed to get where its keys work.
PLACES: dict[str, tuple[str, tuple[str, ...]]] = {
    "global": ("tasks", ()),
    "list": ("tasks", ()),
    "tabs": ("tasks", ("enter",)),
    "tasks": ("tasks", ()),
    "task": ("tasks", ("enter",)),
    "dashboard": ("dashboard", ()),
    "workers": ("workers", ()),
    "worker": ("workers", ("enter",)),
    "queues": ("queues", ()),
    "dead": ("queues", ("down", "enter", "tab")),
    "types": ("types", ()),
    "beat": ("beat", ()),
    "audit": ("audit", ()),
    "flow": ("flows", ("enter",)),
    "events": ("events", ()),
}
UNDOABLE = AuditLine(
    NOW_AT,
    "events.enable",
    (),
    "tqconsole control enable_events",
    "2 answered",
    undo=ActionRequest("events.disable", ("w1@ip-10-1-0",)),
)


def session_for(group: str) -> FakeSession:
    """Return a cluster in which the keys of a group have something to act on."""
    session = FakeSession(make_flow() if group == "flow" else None)
    session.audit_lines = (UNDOABLE,)
    # The queue under the cursor has dead letters.
    for letter in session.letters:
        assert letter.queue == "img"
    return session


def cursor_at(index: int) -> Callable[[Console], bool]:
    def holds(app: Console) -> bool:
        return _cursor(app) == index % len(_list(app).table)

    return holds


def _cursor(app: Console) -> int | None:
    table = _list(app).table
    return next(
        (i for i, row in enumerate(table.first_rows(1000)) if row.task_id == table.cursor_id), None
    )


def scrolled_to(cells: int) -> Callable[[Console], bool]:
    return lambda app: _list(app).table.scroll_x == cells


def _list(app: Console) -> TableScreen:
    shown = app.shown_screen()
    assert isinstance(shown, TableScreen)
    return shown


def _has_ended(app: Console) -> bool:
    return app._exit


PARENT_MISSING = Effect(says="This task has no parent.")
LIMITS = Effect(shows="Rate limit: ")
EVENTS = Effect(shows="Enable task events: every worker")
EVENTS_OF_ONE = Effect(shows="Enable task events: w1@ip-10-1-0")

EFFECTS: dict[str, Effect] = {
    "screen.dashboard": Effect(shows="Needs attention (4)"),
    "screen.tasks": Effect(shows="following", start="queues"),
    "screen.workers": Effect(shows="2 online"),
    "screen.queues": Effect(shows="dead letters 12"),
    "screen.types": Effect(shows="RUN p50"),
    "screen.beat": Effect(shows="SCHEDULE"),
    "screen.flows": Effect(shows="flows"),
    "screen.events": Effect(shows="newest 200"),
    "app.setup": Effect(shows="Frames a second"),
    "screen.audit": Effect(shows="same as:"),
    "app.command": Effect(shows="dashboard (d)"),
    "app.help": Effect(shows="type to search"),
    "app.palette": Effect(shows="Search for commands"),
    "app.escape": Effect(hides="1 marked", before=("space",)),
    "app.back": Effect(shows="following", before=("enter",)),
    "app.quit": Effect(holds=_has_ended),
    "app.interrupt": Effect(says="ctrl+c again quits"),
    "app.suspend": Effect(says="Nothing can be suspended here"),
    "app.history_back": Effect(shows="following", before=("3",)),
    "app.history_forward": Effect(shows="2 online", before=("3", "left_square_bracket")),
    "app.last_view": Effect(shows="following", before=("3",)),
    "app.pause": Effect(shows="PAUSED"),
    "app.refresh": Effect(says="asking the cluster now"),
    "app.time": Effect(says="times: "),
    "app.header": Effect(hides="LIVE"),
    "app.mouse": Effect(says="mouse off"),
    "task.call": Effect(shows="Call a task"),
    "list.open": Effect(shows="Timeline"),
    "list.describe": Effect(shows='"task_id"'),
    "list.up": Effect(before=("down", "down"), holds=cursor_at(1)),
    "list.down": Effect(holds=cursor_at(1)),
    "list.left": Effect(before=("w", "right", "right"), holds=scrolled_to(8), width=80),
    "list.right": Effect(before=("w",), holds=scrolled_to(8), width=80),
    "list.top": Effect(before=("down", "down"), holds=cursor_at(0)),
    "list.bottom": Effect(holds=cursor_at(-1)),
    "list.page_up": Effect(before=("end",), holds=lambda app: 360 < _cursor(app) < 399),
    "list.page_down": Effect(holds=lambda app: 15 < _cursor(app) < 36),
    "list.half_up": Effect(before=("end",), holds=lambda app: 380 < _cursor(app) < 399),
    "list.half_down": Effect(holds=lambda app: 5 < _cursor(app) < 18),
    "list.filter": Effect(holds=lambda app: type(app.focused).__name__ == "FilterInput"),
    "list.problems": Effect(shows="is:problem"),
    "list.sort": Effect(shows="Sort by"),
    "list.sort_left": Effect(hides="AGE ▲"),
    "list.sort_right": Effect(hides="AGE ▲"),
    "list.reverse": Effect(shows="AGE ▼"),
    "list.follow": Effect(shows="f follows"),
    "list.wide": Effect(shows="QUEUE", width=80),
    "list.zoom": Effect(hides="9876aadf-"),
    "list.mark": Effect(shows="1 marked"),
    "list.mark_range": Effect(shows="3 marked", before=("space", "down")),
    "list.mark_all": Effect(shows="400 marked"),
    "list.clear_marks": Effect(hides="1 marked", before=("space",)),
    "list.copy": Effect(shows="row as JSON"),
    "list.export": Effect(shows="NDJSON"),
    "list.actions": Effect(shows="Terminate"),
    "tabs.next": Effect(holds=lambda app: _tab(app) == "args"),
    "tabs.previous": Effect(holds=lambda app: _tab(app) == "raw"),
    "tasks.rerun": Effect(shows="Re-run img.resize"),
    "tasks.revoke": Effect(shows="Revoke: "),
    "tasks.stamps": Effect(shows="Revoke by stamp on prod?"),
    "tasks.limits": LIMITS,
    "tasks.parent": PARENT_MISSING,
    "tasks.flow": Effect(shows="Gantt"),
    "tasks.events": EVENTS,
    "dashboard.events": EVENTS,
    "task.previous": Effect(before=("right_square_bracket",), holds=lambda app: _nth(app) == -1),
    "task.next": Effect(holds=lambda app: _nth(app) == -2),
    "task.copy": Effect(shows="as JSON"),
    "task.export": Effect(says="written: "),
    "task.find": Effect(shows="/ find   w wrap"),
    "task.zoom": Effect(hides="known from"),
    "task.wrap": Effect(
        shows="im = Image.open(path)", before=("shift+tab", "pagedown", "pagedown"), width=80
    ),
    "task.unmask": Effect(says="Nothing is hidden in these arguments."),
    "task.parent": PARENT_MISSING,
    "task.flow": Effect(shows="Gantt"),
    "task.actions": Effect(shows="Terminate"),
    "task.rerun": Effect(shows="Re-run img.resize"),
    "task.revoke": Effect(shows="Revoke: "),
    "workers.ping": Effect(shows="worker.ping, 2 replies, 1 missing"),
    "workers.inspect": Effect(shows="Inspect w1@ip-10-1-0"),
    "workers.gone": Effect(shows="w5@ip-10-1-3"),
    "workers.pool": Effect(shows="Shrink the pool"),
    "workers.consumers": Effect(shows="Stop consuming from a queue"),
    "workers.limits": LIMITS,
    "workers.events": EVENTS_OF_ONE,
    "workers.shutdown": Effect(shows="Type w1@ip-10-1-0 to go on"),
    "worker.ping": Effect(shows="worker.ping, 2 replies, 1 missing"),
    "worker.inspect": Effect(shows="Inspect w1@ip-10-1-0"),
    "worker.copy": Effect(shows="what is shown"),
    "worker.pool": Effect(shows="Shrink the pool"),
    "worker.consumers": Effect(shows="Stop consuming from a queue"),
    "worker.limits": LIMITS,
    "worker.events": EVENTS_OF_ONE,
    "worker.shutdown": Effect(shows="Type w1@ip-10-1-0 to go on"),
    "queues.tasks": Effect(shows='queue:"mail"'),
    "queues.consumers": Effect(shows="Let workers consume from it: mail"),
    "queues.purge": Effect(shows="Type mail to go on"),
    "types.tasks": Effect(shows="name:mail.send"),
    "types.limits": LIMITS,
    "beat.run": Effect(shows="Run heartbeat now"),
    "beat.events": EVENTS,
    "beat.upcoming": Effect(shows="Next runs of heartbeat"),
    "audit.undo": Effect(shows="Undo Enable task events"),
    "dead.replay": Effect(shows="Replay: "),
    "dead.drop": Effect(shows="Drop: "),
    "flow.copy": Effect(shows="Graphviz"),
    "flow.export": Effect(shows="Mermaid"),
    "flow.rerun": Effect(shows="Re-run "),
    "flow.revoke": Effect(shows="Revoke: 2 tasks"),
    "events.events": EVENTS,
    "events.pause": Effect(shows="PAUSED"),
}


def _tab(app: Console) -> str:
    from textual.widgets import ContentSwitcher

    return app.screen.query_one(ContentSwitcher).current or ""


def _nth(app: Console) -> int:
    session = app.session
    assert isinstance(session, FakeSession)
    ids = [row.task_id for row in session.rows]
    return ids.index(app.screen._task_id) - len(ids)  # type: ignore[attr-defined]
