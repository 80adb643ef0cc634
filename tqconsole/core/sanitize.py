"""Makes text of a cluster safe to draw: nothing in it can steer a terminal or hide itself.

Task names, arguments, host names, queue names, results and tracebacks are written by strangers.
Each passes here once, when it enters the store. Clipping comes first, so that a hostile megabyte
costs no more than a line. What was taken out stays visible: ESC becomes its control picture,
a bidi override its code point in angle brackets. Widths are the widgets' business.
"""

from __future__ import annotations

import re
import unicodedata

#: Characters of one field that the store keeps; the whole value is fetched on demand.
FIELD_CHARS = 4096
#: Characters of a traceback that the store keeps: its end says what happened.
TRACEBACK_CHARS = 16384
#: Characters of a name (task, worker, queue); longer ones are nobody's.
NAME_CHARS = 255
#: Combining marks in a row that are let through; more only smear neighbouring lines.
COMBINING_RUN = 4

ELLIPSIS = "…"

#: Invisible characters that are not all in category Cf: fillers, joiners, selectors.
_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0")
_COMBINING_RUN = re.compile(
    r"([\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f])+"
)
_HIDDEN_CATEGORIES = frozenset({"Cf", "Zl", "Zp", "Co", "Cn"})


def clean(text: object, limit_chars: int = FIELD_CHARS) -> str:
    """Return `text` on one line, at most `limit_chars` long, without anything that acts.

    Line ends and tabs become spaces' visible cousins: ⏎ and a space. Never raises.
    """
    if not isinstance(text, str):
        text = _as_text(text)
    if len(text) <= limit_chars:
        # Nearly every text ends here, ten thousand times a second.
        if text.isascii() and text.isprintable():
            return text
    else:
        text = text[: max(0, limit_chars - 1)] + ELLIPSIS
    return _visible(text, keeps_lines=False)


def clean_name(text: object) -> str:
    """Return a name of a task, worker, queue or id, cleaned and clipped."""
    return clean(text, NAME_CHARS)


def clean_lines(text: object, limit_chars: int = TRACEBACK_CHARS) -> str:
    """Return `text` cleaned, with its line ends. When it is too long its middle goes:
    the first lines say where, the last ones what.
    """
    if not isinstance(text, str):
        text = _as_text(text)
    if len(text) > limit_chars:
        head = limit_chars // 4
        tail = max(0, limit_chars - head - 3)
        text = f"{text[:head]}\n{ELLIPSIS}\n{text[len(text) - tail :]}"
    text = text.replace("\r\n", "\n")
    return _visible(text, keeps_lines=True)


def clean_tree(value: object, limit_chars: int = FIELD_CHARS, depth: int = 20) -> object:
    """Return a JSON-like value with all its strings, also keys, cleaned; too deep becomes "…"."""
    if depth <= 0:
        return ELLIPSIS
    if isinstance(value, dict):
        return {
            clean(key, NAME_CHARS): clean_tree(item, limit_chars, depth - 1)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [clean_tree(item, limit_chars, depth - 1) for item in value]
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        # Printing an integer of many thousand digits takes quadratic time and may raise.
        return value if value.bit_length() <= 4096 else ELLIPSIS
    return clean_lines(value, limit_chars)


def _as_text(value: object) -> str:
    if value is None:
        return ""
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - a stranger's value may fail in any way; it is only shown
        return f"<{type(value).__name__}>"


def _visible(text: str, *, keeps_lines: bool) -> str:
    table = _LINES_TABLE if keeps_lines else _LINE_TABLE
    text = text.translate(table)
    if text.isascii():
        return text
    return _COMBINING_RUN.sub(_clip_combining, text)


def _clip_combining(match: re.Match[str]) -> str:
    return match.group()[:COMBINING_RUN]


class _Marks(dict[int, str]):
    """A translate table that works each character out once and remembers it.

    It cannot outgrow Unicode: at most one entry for each code point ever seen.
    """

    def __init__(self, own: dict[int, str]) -> None:
        super().__init__(own)

    def __missing__(self, code: int) -> str:
        mark = _mark(code)
        self[code] = mark
        return mark


def _mark(code: int) -> str:
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "␡"
    if 0x80 <= code <= 0x9F:
        return f"\\x{code:02x}"
    character = chr(code)
    category = unicodedata.category(character)
    if category == "Cs":
        return "\ufffd"
    if category in _HIDDEN_CATEGORIES or character in _INVISIBLE or _is_selector(code):
        return f"<U+{code:04X}>"
    if category == "Zs":
        return " "
    return character


def _is_selector(code: int) -> bool:
    """True for variation selectors: they are invisible and can carry hidden text."""
    return 0xFE00 <= code <= 0xFE0F or 0xE0100 <= code <= 0xE01EF


_LINE_TABLE = _Marks({0x09: " ", 0x0A: "⏎", 0x0D: "⏎"})
_LINES_TABLE = _Marks({0x09: "    ", 0x0A: "\n", 0x0D: "␍"})


def shown(value: object, limit_chars: int = FIELD_CHARS) -> str:
    """Return a value that came decoded as its repr, cleaned; a text is taken for a repr already."""
    if value is None or isinstance(value, str):
        return clean(value, limit_chars)
    try:
        return clean(repr(value), limit_chars)
    except Exception:  # noqa: BLE001 - also a huge integer or a deep tree ends here; it is only shown
        return f"<{type(value).__name__}>"
