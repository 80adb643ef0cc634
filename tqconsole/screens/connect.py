"""Asks for a broker's URL. Its result is the URL; the app carries it out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from textual.containers import Vertical
from textual.widget import Widget
from textual.widgets import Button, Input

from tqconsole.core.action_fields import Field
from tqconsole.widgets.dialog import Dialog, button, text_block
from tqconsole.widgets.fields import field_id, field_row
from tqconsole.widgets.lines import Lines

_URL = Field("url", "Broker URL")
_LABEL_WIDTH = 12


class ConnectDialog(Dialog[str]):
    """The dialog. `check` says what is wrong with a URL, "" when nothing is; `forms` are known."""

    def __init__(self, check: Callable[[str], str], forms: str) -> None:
        super().__init__("Connect to a broker")
        self._check = check
        self._field = replace(_URL, help=forms)

    def body(self) -> Iterable[Widget]:
        """Return the input and what is wrong with it."""
        yield text_block("This console goes on with the cluster behind that URL.", "dim")
        yield Vertical(field_row(self._field, label_width=_LABEL_WIDTH), classes="fields")
        yield Lines(id="complaint")

    def buttons(self) -> Iterable[Button]:
        """Return Cancel and Connect."""
        yield button("Cancel", "cancel")
        yield button("Connect", "go", is_main=True)

    def first_focus(self) -> str:
        """Begin to type."""
        return "Input"

    def on_input_changed(self, event: Input.Changed) -> None:
        """Forget what was wrong."""
        event.stop()
        self.query_one("#complaint", Lines).show_lines([[]])

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Go on with enter."""
        event.stop()
        self.accept("go")

    def accept(self, button_id: str) -> None:
        """Hand the URL over when it can be one."""
        url = self.query_one(f"#{field_id(_URL)}", Input).value.strip()
        wrong = self._check(url) if url else "A URL is wanted."
        if wrong:
            self.query_one("#complaint", Lines).show_lines([[(wrong, "error")]])
        else:
            self.dismiss(url)
