"""The question before secrets of one task are shown."""

from __future__ import annotations

from collections.abc import Iterable

from textual.widget import Widget
from textual.widgets import Button

from tqconsole.widgets.dialog import Dialog, button, text_block


class SecretsDialog(Dialog[bool]):
    """Asks before what looks secret is shown: somebody may look over one's shoulder."""

    def __init__(self, subject: str) -> None:
        super().__init__(f"Show the secrets of {subject}?")

    def body(self) -> Iterable[Widget]:
        """Return what that means."""
        yield text_block(
            "Arguments whose names look secret are shown, and copied, on this screen until it is"
            " left. What is exported stays masked. The audit keeps that they were shown."
        )

    def buttons(self) -> Iterable[Button]:
        """Return Cancel, and the one that shows them."""
        yield button("Cancel", "cancel")
        yield button("Show", "go", is_main=True)

    def accept(self, button_id: str) -> None:
        """Say yes."""
        self.dismiss(True)  # noqa: FBT003 - a dialog's result
