"""The menu of what a worker can be asked: one for its row and for its own screen."""

from __future__ import annotations

from tqconsole.core.action_fields import INSPECTABLE
from tqconsole.widgets.menu import Choice, Menu

#: One for each of what can be asked, in its order.
LETTERS = "arsvgqtcoklmd"


def inspect_menu(worker: str) -> Menu:
    """Return the menu; its result is the name of the inspect command."""
    choices = [
        Choice(what, what.replace("_", " "), letter)
        for what, letter in zip(INSPECTABLE, LETTERS, strict=True)
    ]
    return Menu(f"Inspect {worker}", choices)
