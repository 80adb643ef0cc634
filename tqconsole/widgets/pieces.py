"""Text as pieces with style names, and their painting into strips.

Everything the console draws passes here as (text, style name) pairs, so no text of a cluster is
ever read as markup, and what is not printable cannot reach the terminal even if the cleaning in
`core/` was forgotten. Widths are counted in cells, not in characters.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from tqconsole.core.sanitize import clean
from tqconsole.widgets.look import Look

#: One stretch of text and the name of its style (see `Look.style`); "" is plain.
Piece = tuple[str, str]
#: One line of a screen.
Line = Sequence[Piece]


def printable(text: str) -> str:
    """Return text without anything that steers a terminal."""
    return text if text.isprintable() else clean(text, len(text))


def fit(text: str, width: int, *, ellipsis: str = "…", is_right: bool = False) -> str:
    """Return text cut or padded to exactly `width` cells; what was cut ends in the ellipsis."""
    if width <= 0:
        return ""
    length = cell_len(text)
    if length > width:
        return set_cell_size(text, max(0, width - cell_len(ellipsis))) + ellipsis[:width]
    padding = " " * (width - length)
    return padding + text if is_right else text + padding


def line_width(line: Iterable[Piece]) -> int:
    """Return how many cells a line takes."""
    return sum(cell_len(text) for text, _ in line)


def clipped(line: Line, width: int, ellipsis: str = "…") -> list[Piece]:
    """Return a line of at most `width` cells, ending in the ellipsis when it was cut."""
    kept: list[Piece] = []
    left = width
    for position, (text, style) in enumerate(line):
        length = cell_len(text)
        if length <= left:
            kept.append((text, style))
            left -= length
            continue
        if left > 0:
            kept.append((fit(text, left, ellipsis=ellipsis), style))
        elif kept and position:
            last, last_style = kept[-1]
            kept[-1] = (fit(last + " ", cell_len(last), ellipsis=ellipsis), last_style)
        break
    return kept


def between(left: Line, right: Line, width: int, ellipsis: str = "…") -> list[Piece]:
    """Return one line with `left` at the left end and `right` at the right end; left gives way."""
    room = width - line_width(right)
    if room < 0:
        return clipped(right, width, ellipsis)
    kept = clipped(left, max(0, room - 1) if right else room, ellipsis)
    return [*kept, (" " * (room - line_width(kept)), ""), *right]


def aligned(line: Line, width: int, *, is_right: bool = False, ellipsis: str = "…") -> list[Piece]:
    """Return a line of exactly `width` cells."""
    if len(line) == 1:
        text, style = line[0]
        # Nearly every cell of a table: its cells are its characters.
        if len(text) <= width and text.isascii() and text.isprintable():
            padding = (" " * (width - len(text)), "")
            return [padding, (text, style)] if is_right else [(text, style), padding]
    kept = clipped(line, width, ellipsis)
    padding = (" " * (width - line_width(kept)), "")
    return [padding, *kept] if is_right else [*kept, padding]


def strip_of(line: Line, look: Look, base: Style, width: int) -> Strip:
    """Return the strip of one line, cut or padded to `width` cells over the style `base`.

    Neighbours of one style become one segment: each costs some forty bytes on the terminal's line.
    """
    styles = look.over(base)
    segments: list[Segment] = []
    together, style_before = "", base
    length = 0
    for text, name in line:
        if not text:
            continue
        text = printable(text)
        length += len(text) if text.isascii() else cell_len(text)
        style = styles.get(name) or look.style_over(base, name)
        if style is style_before:
            together += text
            continue
        if together:
            segments.append(Segment(together, style_before))
        together, style_before = text, style
    if length < width:
        padding = " " * (width - length)
        length = width
        if style_before is base:
            together += padding
        else:
            segments.append(Segment(together, style_before))
            together, style_before = padding, base
    if together:
        segments.append(Segment(together, style_before))
    return Strip(segments, length).adjust_cell_length(max(0, width), base)


def joined(parts: Iterable[Line], separator: str = "   ") -> list[Piece]:
    """Return lines put one after the other with a gap between them."""
    together: list[Piece] = []
    for part in parts:
        if not part:
            continue
        if together:
            together.append((separator, ""))
        together.extend(part)
    return together


def wrapped(text: str, width: int) -> list[str]:
    """Return text broken at spaces into lines of at most `width` cells; long words are cut."""
    lines: list[str] = []
    current = ""
    for position, word in enumerate(text.split(" ")):
        candidate = f"{current} {word}" if position else word
        if cell_len(candidate) <= width:
            current = candidate
            continue
        if current.strip():
            lines.append(current)
        while cell_len(word) > width > 0:
            head = set_cell_size(word, width).rstrip()
            lines.append(head or word[:1])
            word = word[len(head) or 1 :]
        current = word
    lines.append(current)
    return lines
