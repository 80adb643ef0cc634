"""The console's own errors: each text can be shown to the user as it is."""

from __future__ import annotations


class ConsoleError(Exception):
    """Base of the console's errors."""


class FilterError(ConsoleError):
    """A filter cannot be read. `column` counts from 0 and points at the first bad character."""

    def __init__(self, message: str, column: int) -> None:
        super().__init__(message)
        self.message = message
        self.column = column


class ContextError(ConsoleError):
    """The file of contexts is unreadable or says nonsense; the text names file and field."""


class SetupError(ConsoleError):
    """The file of the console's settings is unreadable or says nonsense; as above."""


class ActionError(ConsoleError):
    """An action cannot be done as asked; the text says why and what to do."""
