"""The part of the console's app that knows no screens: clock, answers, clipboard, end.

One frame clock drains the session and draws what is on top; futures are looked at once per frame,
so nothing here ever waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import sys
import threading
from pathlib import Path

from textual.css.query import NoMatches
from textual.timer import Timer

from tqconsole.core.errors import FilterError
from tqconsole.core.own_usage import OwnUsage, Usage
from tqconsole.core.port import ConsoleSession
from tqconsole.core.setup import FRAMES_PER_S, Setup
from tqconsole.core.views import Changes, Snapshot
from tqconsole.widgets.clipboard import (
    clipboard_sequence,
    fits_terminal,
    give_to_tmux,
    is_tmux,
)
from tqconsole.widgets.crash import crash_text, write_crash
from tqconsole.widgets.ending import Ending
from tqconsole.widgets.files import write_export
from tqconsole.widgets.frame import ConsoleScreen
from tqconsole.widgets.look import LookApp
from tqconsole.widgets.requests import Awaited, CopyAsked, ExportAsked

#: Frames per second: what the eye takes for live, at a tenth of a core.
FPS = FRAMES_PER_S
#: Seconds of a frame in which events are taken in, and when more wait than that allows: drawing
#: and keys still come every frame, and a storm of 20,000 a second is kept up with.
BUDGET_S, BEHIND_BUDGET_S = 0.008, 0.04
#: Of how many frames one is drawn while the terminal is not looked at.
BLURRED_EVERY = 12
#: Seconds in which a second press of q or ctrl+c quits.
TWICE_S = 2.0
#: A screen that is being taken down loses its widgets one by one while clock and answers go on.
_WHILE_TAKEN_DOWN = contextlib.suppress(NoMatches)
#: Rows, imports and screens have settled by then; what is frozen is never looked at again.
GC_FREEZE_AFTER_S = 10.0


class BaseApp(LookApp):
    """Clock, futures, notices, files and the way out."""

    def __init__(
        self, session: ConsoleSession, *, is_ascii: bool, setup: Setup | None = None
    ) -> None:
        super().__init__(is_ascii=is_ascii)
        self.setup = setup or Setup()
        self.is_read_only = session.is_read_only
        for name, expression in self.setup.filters.items():
            # Over a context's own of that name; one that cannot be read any more is left out.
            with contextlib.suppress(FilterError):
                session.save_filter(name, expression)
        if self.setup.keys:
            self.key_table = self.setup.keymap()
        self._clock_timer: Timer | None = None
        self.session = session
        self._awaited: list[Awaited] = []
        self._is_armed = False
        self._is_blurred = False
        self._has_mouse = True
        self._frame_count = 0
        self._is_behind = False
        self._unseen = Changes()
        self._ending: Ending | None = None
        self._own_usage = OwnUsage()
        #: What this process costs; None while that is not known.
        self.usage: Usage | None = None

    def begin(self) -> None:
        """Start to listen and to draw."""
        self._watch_terminal()
        self.session.start()
        self.set_frame_rate()
        self.set_timer(GC_FREEZE_AFTER_S, gc.freeze)

    def set_frame_rate(self) -> None:
        """Draw as often as the setup says."""
        if self._clock_timer is not None:
            self._clock_timer.stop()
        rate = self.setup.frames_per_s or FPS
        self._clock_timer = self.set_interval(1 / rate, self._frame)

    def _watch_terminal(self) -> None:
        """Leave on TERM and HUP, and when the terminal is gone; give it back if it is not."""
        if self.is_headless or sys.__stdin__ is None:
            return
        loop = asyncio.get_running_loop()
        self._ending = Ending(
            lambda code: loop.call_soon_threadsafe(self.exit, code),
            lambda: getattr(self._driver, "_writer_thread", None),
            self._read_no_more,
            sys.__stdin__.fileno(),
            getattr(self._driver, "attrs_before", None),
        )
        self._ending.start()

    def _read_no_more(self) -> None:
        """End Textual's thread that reads keys; it has no public switch for it."""
        over = getattr(self._driver, "exit_event", None)
        if isinstance(over, threading.Event):
            over.set()

    def left(self) -> None:
        """Its run is over: nothing of the terminal's can hold the process up any more."""
        if self._ending is not None:
            self._ending.finish()

    def on_unmount(self) -> None:
        """Give the signals back."""
        if self._ending is not None:
            self._ending.stop()

    # frames

    def _frame(self) -> None:
        """Take in what came, draw what is on top."""
        self._settle()
        budget_s = BEHIND_BUDGET_S if self._is_behind else BUDGET_S
        changes = self.session.drain(budget_s)
        self._is_behind = changes.is_behind
        self._unseen = merged(self._unseen, changes)
        self._frame_count += 1
        if not self.is_headless:
            self.usage = self._own_usage.reading()
        if not self._unseen.is_any or (self._is_blurred and self._frame_count % BLURRED_EVERY):
            return
        shown = self.shown_screen()
        if shown is None or not shown.is_ready:
            return
        snapshot = self.session.snapshot()
        drawn, self._unseen = self._unseen, Changes()
        with _WHILE_TAKEN_DOWN:
            shown.show(snapshot, drawn)
        self.after_frame(snapshot)

    def after_frame(self, snapshot: Snapshot) -> None:
        """Consider what was drawn; for subclasses."""

    def shown_screen(self) -> ConsoleScreen | None:
        """Return the full screen that is visible, perhaps below a dialog."""
        for screen in reversed(self.screen_stack):
            if isinstance(screen, ConsoleScreen):
                return screen
        return None

    def redraw(self) -> None:
        """Draw what is on top anew."""
        self.call_after_refresh(self._redraw_now)

    def _redraw_now(self) -> None:
        shown = self.shown_screen()
        if shown is not None:
            shown.redraw()

    # answers

    def wait_for(self, awaited: Awaited) -> None:
        """Look at a future each frame until it is done."""
        self._awaited.append(awaited)

    def on_awaited(self, message: Awaited) -> None:
        """Look at a screen's future."""
        self.wait_for(message)

    def _settle(self) -> None:
        """Deliver the futures that are done."""
        for awaited in [item for item in self._awaited if item.future.done()]:
            self._awaited.remove(awaited)
            with _WHILE_TAKEN_DOWN:
                self._deliver(awaited)

    def _deliver(self, awaited: Awaited) -> None:
        error = awaited.future.exception()
        if error is None:
            awaited.deliver(awaited.future.result())
        elif awaited.fail is not None:
            awaited.fail(error)
        else:
            self.tell(str(error) or type(error).__name__, is_error=True)

    def tell(self, text: str, *, is_error: bool = False) -> None:
        """Show a short notice."""
        if is_error:
            self.notify(text, severity="error", markup=False, timeout=8)
        else:
            self.notify(text, markup=False, timeout=3)

    # terminal, clipboard, files

    def on_app_blur(self) -> None:
        """Nobody looks: one frame a second is enough."""
        self._is_blurred = True

    def on_app_focus(self) -> None:
        """Draw at full rate again."""
        self._is_blurred = False

    def toggle_mouse(self) -> None:
        """Give the mouse to the terminal, or take it back."""
        self._has_mouse = not self._has_mouse
        # Textual has no public switch for it; without the methods (browser) nothing happens.
        name = "_enable_mouse_support" if self._has_mouse else "_disable_mouse_support"
        getattr(self._driver, name, lambda: None)()
        self.tell("mouse on" if self._has_mouse else "mouse off: the terminal selects text")

    def copy_to_clipboard(self, text: str) -> None:
        """Copy through the terminal (OSC 52): works over SSH; in tmux through its buffer."""
        self._clipboard = text
        if self._driver is None:
            return
        if is_tmux(os.environ):
            self.run_worker(lambda: self._give_to_tmux(text), thread=True, exit_on_error=False)
        else:
            self._driver.write(clipboard_sequence(text, os.environ))

    def _give_to_tmux(self, text: str) -> None:
        wrong = give_to_tmux(text)
        if wrong:
            self.call_from_thread(self.tell, f"tmux did not take it: {wrong}", is_error=True)

    def on_copy_asked(self, message: CopyAsked) -> None:
        """Copy a text; what no terminal takes goes into a file."""
        size = f"{len(message.text):,} characters"
        if not fits_terminal(message.text):
            file = ExportAsked("copied", "txt", message.text)
            self._write(file, f"{size}, too long for a terminal")
            return
        self.copy_to_clipboard(message.text)
        self.tell(f"copied the {message.what}, {size}")

    def on_export_asked(self, message: ExportAsked) -> None:
        """Write a file into the working folder and say where."""
        self._write(message, "")

    def _write(self, message: ExportAsked, why: str) -> None:
        text = message.text if message.suffix != "svg" else self.export_screenshot()
        now_at = self.session.snapshot().now_at
        try:
            path = write_export(message.stem, message.suffix, text, now_at, Path.cwd())
        except OSError as error:
            self.tell(f"Not written: {error}", is_error=True)
        else:
            self.tell(f"{why}: {path}" if why else f"written: {path}")

    # the end

    def action_interrupt(self) -> None:
        """Copy the selection if there is one, else quit on the second press."""
        selected = self.screen.get_selected_text()
        if selected:
            self.copy_to_clipboard(selected)
            self.screen.clear_selection()
            self.tell("copied")
        else:
            self.quit_on_second("app.interrupt")

    def quit_on_second(self, binding_id: str) -> None:
        """Quit when this comes twice within two seconds."""
        if self._is_armed:
            self.exit(0)
            return
        self._is_armed = True
        self.tell(f"{self.look.keys[binding_id]} again quits")
        self.set_timer(TWICE_S, self._disarm)

    def _disarm(self) -> None:
        self._is_armed = False

    def _fatal_error(self) -> None:
        """Say in one line that it crashed; the traceback, without locals, goes to a file.

        Asked to end before its first screen stood it misses what that would have had: no crash.
        """
        if self._ending is not None and self._ending.has_begun:
            self._close_messages_no_wait()
            return
        error = self._exception or RuntimeError("unknown")
        self.bell()
        self._exit_renderables.append(crash_text(error, write_crash(error)))
        self._close_messages_no_wait()


def merged(before: Changes, after: Changes) -> Changes:
    """Return what either changed."""
    if not before.is_any:
        return after
    return Changes(
        before.row_count + after.row_count,
        before.has_evicted or after.has_evicted,
        before.workers or after.workers,
        before.queues or after.queues,
        before.stats or after.stats,
        before.events or after.events,
        before.link or after.link,
        after.is_behind,
    )
