"""The frame of every full screen: title, tabs, content, keys, and how keys find their handlers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar, Protocol, runtime_checkable

from textual import events
from textual.app import ComposeResult
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Input

from tqconsole.core.keymap import BINDINGS_BY_ID, KEYMAP
from tqconsole.core.port import ConsoleSession
from tqconsole.core.views import Changes, Snapshot
from tqconsole.widgets.footer import KeyLine
from tqconsole.widgets.header import NumbersLine, TabLine, TitleLine, numbers
from tqconsole.widgets.keys import AT_ONCE, binding_id_in, rebind
from tqconsole.widgets.lines import Lines
from tqconsole.widgets.look import Look, look_of
from tqconsole.widgets.pieces import Piece, clipped, wrapped
from tqconsole.widgets.requests import BackAsked, Goto, KeyAsked

#: What a handler is: called when its key is pressed.
Handler = Callable[[], object]
#: Below this nothing is laid out: a message and the numbers line.
SMALLEST = (60, 15)
#: What counts as a change of everything: the first drawing of a screen.
EVERYTHING = Changes(
    row_count=1, has_evicted=True, workers=True, queues=True, stats=True, events=True, link=True
)


@runtime_checkable
class TakesKeys(Protocol):
    """An app that does at once what a key means everywhere."""

    def on_key_asked(self, message: KeyAsked) -> None:
        """Do it."""
        ...


class ConsoleScreen(Screen[None]):
    """A screen that draws snapshots. Subclasses give `content`, `draw` and `handlers`."""

    #: Each screen says itself what has the focus: the first widget may be a filter, which would
    #: take keys for its text.
    AUTO_FOCUS: ClassVar[str | None] = ""
    #: Which tab is lit.
    TAB: ClassVar[str] = ""
    #: What the title line says after the context's name.
    CRUMBS: ClassVar[tuple[str, ...]] = ()

    def __init__(self, session: ConsoleSession) -> None:
        super().__init__()
        self.session = session
        self.snapshot = Snapshot(now_at=0.0)
        self._small = Lines(classes="too-small")
        self._link = Lines(classes="link-line")
        self._handlers: dict[str, Handler] | None = None
        #: Its widgets are there and laid out: it may be drawn.
        self.is_ready = False

    # what a subclass says

    def content(self) -> Iterable[Widget]:
        """Return the widgets between tabs and keys."""
        return ()

    def draw(self, snapshot: Snapshot, changes: Changes) -> None:
        """Draw what changed."""

    def handlers(self) -> dict[str, Handler]:
        """Return binding id -> what it does here; what is not in it is off."""
        return {}

    def crumbs(self) -> Sequence[str]:
        """Return the way to here."""
        return self.CRUMBS

    def title_note(self) -> list[Piece]:
        """Return what stands at the right of the title instead of the link; empty: the link."""
        return []

    def call_preset(self) -> dict[str, str]:
        """Return what a new call begins with here, by the names of its fields."""
        return {}

    def acted(self) -> None:
        """Look again: an action that was asked for here has ended. For subclasses."""

    def key(self, binding_id: str) -> str:
        """Return the key of a binding as it is bound here, for a text that names it."""
        return look_of(self).keys[binding_id]

    def escape(self) -> bool:
        """Peel off one layer of this screen; False when there is none left."""
        return False

    # the frame

    def compose(self) -> ComposeResult:
        """Lay title, tabs, content and keys out."""
        keymap = getattr(self.app, "key_table", KEYMAP)
        if keymap is not KEYMAP:
            rebind(self._bindings, keymap)
        yield TitleLine(classes="title-line")
        if self.TAB:
            yield TabLine(self.TAB)
        yield self._link
        yield from self.content()
        yield KeyLine()
        yield self._small

    def show(self, snapshot: Snapshot, changes: Changes) -> None:
        """Draw a snapshot; called by the app's clock for the screen on top."""
        if not self.is_ready:
            return
        self.snapshot = snapshot
        width, height = self.size
        if width < SMALLEST[0] or height < SMALLEST[1]:
            self._show_small(snapshot)
            return
        self.remove_class("-too-small")
        is_beyond_rows = changes.stats or changes.link or changes.workers or changes.queues
        # What rows and events change is not said on top of a main screen.
        if is_beyond_rows or not self.TAB:
            self.query_one(TitleLine).show_snapshot(snapshot, self.crumbs(), self.title_note())
            for line in self.query(NumbersLine):
                line.show_snapshot(snapshot)
            self._show_link(snapshot)
        self.draw(snapshot, changes)

    def _show_link(self, snapshot: Snapshot) -> None:
        """Say on every screen that the broker is away, and what that means for what is shown."""
        is_away = snapshot.link == "reconnecting"
        self._link.display = is_away

        def maker(width: int, look: Look) -> list[list[Piece]]:
            # A narrow screen says in the title that it connects anew: here why is what counts.
            what = "The broker is out of reach" if width >= 100 else "Out of reach"
            line: list[Piece] = [
                (f"  {look.glyphs.error} {what}", "bold error"),
                (f": {snapshot.link_detail}" if snapshot.link_detail else "", "error"),
                ("   shown is what was known" if width >= 100 else "", "dim"),
            ]
            return [clipped(line, width, look.glyphs.ellipsis)]

        if is_away:
            self._link.show(maker)

    def _show_small(self, snapshot: Snapshot) -> None:
        self.add_class("-too-small")

        def maker(width: int, look: Look) -> list[list[Piece]]:
            need = f"The window is too small. {SMALLEST[0]}x{SMALLEST[1]} is the least."
            words: list[list[Piece]] = [[(line, "warning")] for line in wrapped(need, width)]
            return [*words, numbers(snapshot.totals, width, look)]

        self._small.show(maker)

    def redraw(self) -> None:
        """Draw everything anew from the last snapshot."""
        if self.is_mounted and self.snapshot.now_at:
            self.show(self.snapshot, EVERYTHING)

    def on_screen_resume(self) -> None:
        """Draw the present when the screen comes up."""
        self.call_after_refresh(self._show_now)

    def on_resize(self) -> None:
        """Draw for the new size."""
        self.call_after_refresh(self.redraw)

    def _show_now(self) -> None:
        self.is_ready = self.is_mounted
        if self.is_mounted and self.is_current:
            self.show(self.session.snapshot(), EVERYTHING)

    def on_tab_line_picked(self, message: TabLine.Picked) -> None:
        """Go where a tab was clicked."""
        self.post_message(Goto(message.screen))

    # keys

    def action_press(self, binding_id: str) -> None:
        """Do what a key of the keymap means here."""
        handler = self.all_handlers().get(binding_id)
        if handler is not None:
            handler()

    def all_handlers(self) -> dict[str, Handler]:
        """Return the handlers of this screen over those of every screen."""
        if self._handlers is not None:
            return self._handlers
        everywhere: dict[str, Handler] = {
            binding_id: self._asker(binding_id)
            for binding_id, entry in BINDINGS_BY_ID.items()
            if entry.screen == "global"
        }
        everywhere["app.escape"] = self._escape
        everywhere["app.back"] = lambda: self.post_message(BackAsked())
        self._handlers = {**everywhere, **self.handlers()}
        return self._handlers

    def _asker(self, binding_id: str) -> Handler:
        app = self.app
        if binding_id in AT_ONCE and isinstance(app, TakesKeys):
            return lambda: app.on_key_asked(KeyAsked(binding_id))
        return lambda: self.post_message(KeyAsked(binding_id))

    def _escape(self) -> None:
        if not self.escape():
            self.post_message(KeyAsked("app.escape"))

    def on_key(self, event: events.Key) -> None:
        """Say why a key that would change the cluster does nothing where none may."""
        if not self.session.is_read_only:
            return
        for binding in self._bindings.key_to_bindings.get(event.key, ()):
            entry = BINDINGS_BY_ID.get(binding_id_in(binding.action))
            if entry is not None and entry.does_change and entry.binding_id in self.all_handlers():
                event.stop()
                label = entry.label
                self.notify(f"Read-only: no {label} here.", markup=False, timeout=3)
                return

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Switch keys off that mean nothing here or would change a read-only cluster."""
        if action != "press":
            return True
        binding_id = str(parameters[0])
        if binding_id in AT_ONCE and isinstance(self.focused, Input):
            return False
        if BINDINGS_BY_ID[binding_id].does_change and self.session.is_read_only:
            return False
        return binding_id in self.all_handlers()
