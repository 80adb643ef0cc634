"""What handlers and signals are told of an exception: Celery's `einfo`, and the text of its trace.

The text is made once, at once, and starts where user code starts; then the frames can be cleared,
so that nothing a task had in its locals lives on with its exception.
"""

from __future__ import annotations

import traceback
from collections.abc import Collection
from types import TracebackType

#: Characters of a traceback that are kept, half from its beginning and half from its end: an
#: exception's text may be as long as its arguments.
_TRACE_CHARS = 64 * 1024


class ExceptionInfo:
    """An exception with its type and its traceback as text (`str()` gives the text)."""

    def __init__(self, exception: BaseException, own_files: Collection[str] = ()) -> None:
        self.type = type(exception)
        self.exception = exception
        self.tb = _from_user_code(exception.__traceback__, own_files)
        self.traceback = _text_of(exception, self.tb)
        #: Celery's mark of errors in the engine itself.
        self.internal = False

    @property
    def exc_info(self) -> tuple[type[BaseException], BaseException, TracebackType | None]:
        """The triple of `sys.exc_info`."""
        return self.type, self.exception, self.tb

    def forget_frames(self) -> None:
        """Let go of everything that the frames of the run held."""
        if self.exception.__traceback__ is not None:
            traceback.clear_frames(self.exception.__traceback__)

    def __str__(self) -> str:
        return self.traceback

    def __repr__(self) -> str:
        return f"<ExceptionInfo: {self.exception!r}>"


def _from_user_code(
    trace: TracebackType | None, own_files: Collection[str]
) -> TracebackType | None:
    """Return the part of a traceback below the engine's own frames; all if there is no other."""
    rest = trace
    while rest is not None and rest.tb_frame.f_code.co_filename in own_files:
        rest = rest.tb_next
    return rest or trace


def _text_of(exception: BaseException, trace: TracebackType | None) -> str:
    try:
        text = "".join(traceback.format_exception(type(exception), exception, trace))
    except Exception as error:  # noqa: BLE001 - a user's class may break any way of writing it
        text = (
            f"{type(exception).__name__}: its traceback cannot be written: {type(error).__name__}"
        )
    if len(text) > _TRACE_CHARS:
        half = _TRACE_CHARS // 2
        text = f"{text[:half]}\n[...]\n{text[-half:]}"
    return text
