"""Every key of the console as data: screens bind from it, help prints it, tests hold it.

Rule: an uppercase letter changes the cluster and opens a dialog; everything else never does.
Exceptions, as in other full-screen programs: G (bottom), M (mouse), V (mark a range).
Key names: one character stands for itself, others are named as the terminal library names them
("ctrl+d", "escape", "pagedown").
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

#: Uppercase keys that do not change the cluster.
HARMLESS_UPPERCASE = frozenset({"G", "M", "V"})


@dataclass(frozen=True, slots=True)
class KeyBinding:
    """One binding. `screen` is "global", "list" (every table) or a screen's name.

    `action_group` names the group of `core.actions` whose dialog opens, for keys that change
    something. `is_in_footer` marks those worth the one line of the footer.
    """

    binding_id: str
    keys: tuple[str, ...]
    label: str
    screen: str = "global"
    does_change: bool = False
    action_group: str = ""
    is_in_footer: bool = False
    help: str = ""


def _key(
    binding_id: str, keys: str, label: str, screen: str = "global", *, footer: bool = False
) -> KeyBinding:
    return KeyBinding(binding_id, tuple(keys.split()), label, screen, is_in_footer=footer)


def _change(
    binding_id: str, key: str, label: str, screen: str, group: str, *, footer: bool = True
) -> KeyBinding:
    return KeyBinding(
        binding_id,
        (key,),
        label,
        screen,
        does_change=True,
        action_group=group,
        is_in_footer=footer,
    )


KEYMAP: tuple[KeyBinding, ...] = (
    # Everywhere
    _key("screen.dashboard", "1", "dashboard"),
    _key("screen.tasks", "2", "tasks"),
    _key("screen.workers", "3", "workers"),
    _key("screen.queues", "4", "queues"),
    _key("screen.types", "5", "task types"),
    _key("screen.beat", "6", "beat: the schedule"),
    _key("screen.flows", "7", "flows"),
    _key("screen.events", "8", "events"),
    _key("screen.audit", "9", "audit: what was asked for here"),
    _key("app.command", ":", "command", footer=True),
    _key("app.help", "? f1", "help", footer=True),
    _key("app.setup", "f2", "setup: theme, frames, columns, keys"),
    _key("app.palette", "ctrl+p", "palette"),
    _key("app.escape", "escape", "close, one layer at a time"),
    _key("app.back", "q", "back, at the root twice to quit", footer=True),
    _key("app.quit", "ctrl+q f10", "quit now"),
    _key("app.interrupt", "ctrl+c", "copy the selection, else twice to quit"),
    _key("app.suspend", "ctrl+z", "suspend"),
    _key("app.history_back", "[", "back in history"),
    _key("app.history_forward", "]", "forward in history"),
    _key("app.last_view", "-", "last view"),
    _key("app.pause", "p", "pause", footer=True),
    _key("app.refresh", "r f5", "refresh now"),
    _key("app.time", "t", "time: age, local, UTC"),
    _key("app.header", "ctrl+e", "hide the header"),
    _key("app.mouse", "M", "mouse capture"),
    _change("task.call", "N", "new call", "global", "call"),
    # Tables
    _key("list.open", "enter", "open", "list", footer=True),
    _key("list.describe", "d", "describe as JSON", "list"),
    _key("list.up", "up k", "up", "list"),
    _key("list.down", "down j", "down", "list"),
    _key("list.left", "left h", "left", "list"),
    _key("list.right", "right l", "right", "list"),
    _key("list.top", "g home", "top", "list"),
    _key("list.bottom", "G end", "bottom", "list"),
    _key("list.page_up", "pageup ctrl+b", "page up", "list"),
    _key("list.page_down", "pagedown ctrl+f", "page down", "list"),
    _key("list.half_up", "ctrl+u", "half a page up", "list"),
    _key("list.half_down", "ctrl+d", "half a page down", "list"),
    _key("list.filter", "/ f3 f4", "filter", "list", footer=True),
    _key("list.problems", "!", "only problems", "list"),
    _key("list.sort", "s f6", "sort by ...", "list"),
    _key("list.sort_left", "<", "sort by the column to the left", "list"),
    _key("list.sort_right", ">", "sort by the column to the right", "list"),
    _key("list.reverse", "=", "reverse the order", "list"),
    _key("list.follow", "f", "follow the newest", "list"),
    _key("list.wide", "w", "wide columns", "list"),
    _key("list.zoom", "z", "zoom", "list"),
    _key("list.mark", "space", "mark", "list"),
    _key("list.mark_range", "V", "mark a range", "list"),
    _key("list.mark_all", "*", "mark all that match", "list"),
    _key("list.clear_marks", "ctrl+backslash", "clear the marks", "list"),
    _key("list.copy", "c", "copy ...", "list"),
    _key("list.export", "e", "export what is shown", "list"),
    _key("list.actions", "a f9", "actions", "list", footer=True),
    # Screens with tabs
    _key("tabs.next", "tab", "next tab", "tabs", footer=True),
    _key("tabs.previous", "shift+tab", "the tab before", "tabs"),
    # Screens
    _change("tasks.rerun", "R", "re-run", "tasks", "rerun"),
    _change("tasks.revoke", "X", "revoke", "tasks", "revoke"),
    _change("tasks.stamps", "S", "revoke by stamp", "tasks", "stamps", footer=False),
    _change("tasks.limits", "L", "limits", "tasks", "limits"),
    _key("tasks.parent", "o", "parent", "tasks"),
    _key("tasks.flow", "v", "its flow", "tasks"),
    _change("tasks.events", "E", "events", "tasks", "events", footer=False),
    _change("dashboard.events", "E", "events", "dashboard", "events", footer=False),
    _key("task.previous", "[", "previous row", "task"),
    _key("task.next", "]", "next row", "task"),
    _key("task.copy", "c", "copy ...", "task"),
    _key("task.export", "e", "export JSON", "task"),
    _key("task.find", "/ f3 f4", "find in the text", "task"),
    _key("task.zoom", "z", "zoom", "task"),
    _key("task.wrap", "w", "wrap lines", "task"),
    _key("task.unmask", "u", "show secrets, hide them", "task"),
    _key("task.parent", "o", "parent", "task"),
    _key("task.flow", "v", "its flow", "task"),
    _key("task.actions", "a f9", "actions", "task", footer=True),
    _change("task.rerun", "R", "re-run", "task", "rerun"),
    _change("task.revoke", "X", "revoke", "task", "revoke"),
    _key("workers.ping", "b", "ping", "workers", footer=True),
    _key("workers.inspect", "i", "inspect ...", "workers", footer=True),
    _key("workers.gone", "h", "show those that are gone", "workers"),
    _change("workers.pool", "P", "pool", "workers", "pool"),
    _change("workers.consumers", "Q", "queues", "workers", "consumers"),
    _change("workers.limits", "L", "limits", "workers", "limits"),
    _change("workers.events", "E", "events", "workers", "events"),
    _change("workers.shutdown", "X", "shut down", "workers", "shutdown"),
    _key("worker.ping", "b", "ping", "worker", footer=True),
    _key("worker.inspect", "i", "inspect ...", "worker"),
    _key("worker.copy", "c", "copy ...", "worker"),
    _change("worker.pool", "P", "pool", "worker", "pool"),
    _change("worker.consumers", "Q", "queues", "worker", "consumers"),
    _change("worker.limits", "L", "limits", "worker", "limits"),
    _change("worker.events", "E", "events", "worker", "events"),
    _change("worker.shutdown", "X", "shut down", "worker", "shutdown"),
    _key("queues.tasks", "t", "tasks of this queue", "queues"),
    _change("queues.consumers", "Q", "consumers", "queues", "consumers"),
    _change("queues.purge", "P", "purge", "queues", "purge"),
    _key("types.tasks", "t", "tasks of this type", "types", footer=True),
    _change("types.limits", "L", "limits", "types", "limits"),
    _change("beat.run", "B", "run now", "beat", "run"),
    _change("beat.events", "E", "events", "beat", "events", footer=False),
    _key("beat.upcoming", "v", "next runs", "beat", footer=True),
    _change("audit.undo", "U", "undo", "audit", "undo"),
    _change("dead.replay", "R", "replay", "dead", "replay"),
    _change("dead.drop", "X", "drop", "dead", "drop"),
    _key("flow.copy", "c", "copy ...", "flow"),
    _key("flow.export", "e", "export ...", "flow", footer=True),
    _change("flow.rerun", "R", "re-run what failed", "flow", "rerun"),
    _change("flow.revoke", "X", "revoke the rest", "flow", "revoke"),
    _change("events.events", "E", "events", "events", "events", footer=False),
    _key("events.pause", "p", "pause", "events", footer=True),
)

BINDINGS_BY_ID: dict[str, KeyBinding] = {binding.binding_id: binding for binding in KEYMAP}


def bindings_for(*screens: str, is_read_only: bool = False) -> tuple[KeyBinding, ...]:
    """Return the bindings of these screens; in read-only mode without those that change."""
    return tuple(
        binding
        for binding in KEYMAP
        if binding.screen in screens and not (is_read_only and binding.does_change)
    )


def is_uppercase_letter(key: str) -> bool:
    """True for a bare uppercase letter, the mark of a key that changes the cluster."""
    return len(key) == 1 and key.isupper()


def case_violations(bindings: Iterable[KeyBinding] = KEYMAP) -> list[str]:
    """Return the binding ids that break the case rule; a test wants none."""
    return [
        binding.binding_id
        for binding in bindings
        for key in binding.keys
        if key not in HARMLESS_UPPERCASE and is_uppercase_letter(key) != binding.does_change
    ]
