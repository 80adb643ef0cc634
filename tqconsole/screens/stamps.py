"""The dialog that revokes by stamps: what waits and carries one is looked for while one types."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

from textual import events
from textual.widget import Widget
from textual.widgets import Button, Input

from tqconsole.core.errors import ActionError
from tqconsole.core.stamps import Stamped, read_stamps
from tqconsole.screens.control import GroupDialog
from tqconsole.widgets import figures
from tqconsole.widgets.dialog import text_block
from tqconsole.widgets.lines import Lines
from tqconsole.widgets.look import Look
from tqconsole.widgets.pieces import Piece, clipped
from tqconsole.widgets.requests import Awaited

#: Kinds of waiting calls named one by one.
NAMED = 4
#: What a look at the queues cannot tell.
_UNSEEN = "Of what workers hold and run already, nobody tells the stamps."


class StampsDialog(GroupDialog):
    """Asks for stamps, and shows what waits with them."""

    _wanted: dict[str, str] | None = None
    _is_looking = False

    def body(self) -> Iterable[Widget]:
        """Return the inputs, and below them what carries the stamps."""
        yield from super().body()
        yield Lines(id="stamped")
        yield text_block(_UNSEEN, "dim")

    def on_key(self, event: events.Key) -> None:
        """Take what is typed on a button for a stamp: nothing else can be typed here."""
        if isinstance(self.focused, Button) and event.is_printable and event.character != " ":
            field = self.query_one("#field-stamps", Input)
            event.stop()
            event.prevent_default()
            # What is focused with its text selected would lose it to the next key.
            field.select_on_focus = False
            field.focus()
            field.insert_text_at_cursor(event.character or "")

    def _update(self) -> None:
        super()._update()
        try:
            stamps = read_stamps(self._values().get("stamps", ""))
        except ActionError:
            self._wanted = None
            self.query_one("#stamped", Lines).show_lines([[]])
            return
        if stamps != self._wanted:
            self._wanted = stamps
            self._look()

    def _look(self) -> None:
        """Look once at a time: while one types, only the last text is looked for."""
        wanted = self._wanted
        if self._is_looking or wanted is None:
            return
        self._is_looking = True
        self.query_one("#stamped", Lines).show_lines([[("looking through the queues …", "dim")]])
        self.post_message(Awaited(self._session.find_stamped(wanted), partial(self._took, wanted)))

    def _took(self, looked_for: dict[str, str], stamped: Stamped) -> None:
        self._is_looking = False
        if not self.is_mounted:
            return
        if looked_for != self._wanted:
            self._look()
            return
        self.query_one("#stamped", Lines).show(
            lambda width, look: stamped_lines(stamped, width, look)
        )


def stamped_lines(stamped: Stamped, width: int, look: Look) -> Sequence[list[Piece]]:
    """Return what was found, in lines."""
    if stamped.error:
        return [clipped([("waiting  ", "dim"), (stamped.error, "warning")], width)]
    calls = figures.plural(stamped.count, "call")
    where = f" carry one, of {stamped.looked_at:,} looked at in"
    more = ", there are more" if stamped.is_partial else ""
    lines: list[list[Piece]] = [
        [
            ("waiting  ", "dim"),
            (calls, "bold warning" if stamped.count else "bold"),
            (f"{where} {figures.plural(stamped.queue_count, 'queue')}{more}", ""),
        ]
    ]
    for queue, name, count in stamped.found[:NAMED]:
        lines.append([(f"{count:>9,}  ", ""), (name, "bold"), (f"  in {queue}", "dim")])
    if len(stamped.found) > NAMED:
        lines.append([(f"{'':9}  and {len(stamped.found) - NAMED:,} kinds more", "dim")])
    return [clipped(line, width, look.glyphs.ellipsis) for line in lines]
