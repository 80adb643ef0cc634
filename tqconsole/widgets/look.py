"""How things look: glyphs, colours by name, and our two themes.

One place decides that a failure is a red cross with its word beside it, in Unicode or in ASCII,
in the dark or in the light. Widgets ask a `Look` for a glyph or for a style by name and never
name a colour themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import ClassVar

from rich.style import Style
from textual.app import App
from textual.color import Color, ColorParseError
from textual.scrollbar import ScrollBarRender
from textual.theme import BUILTIN_THEMES, Theme
from textual.widget import Widget

from tqconsole.core.keymap import KEYMAP, KeyBinding
from tqconsole.widgets.keys import shown_keys


@dataclass(frozen=True, slots=True)
class Glyphs:
    """The signs the screens are drawn with; every state also bears its word."""

    states: dict[str, str]
    cursor: str
    mark: str
    up: str
    down: str
    ok: str
    error: str
    warning: str
    live: str
    paused: str
    ellipsis: str
    crumb: str
    arrow: str
    dot: str
    full: str
    empty: str
    rule: str
    unknown: str
    sparks: str
    branch: str
    last_branch: str
    trunk: str
    radio_on: str
    radio_off: str


UNICODE_GLYPHS = Glyphs(
    states={
        "PENDING": "·",
        "RECEIVED": "○",
        "STARTED": "◐",
        "PROGRESS": "◑",
        "SUCCESS": "✔",
        "FAILURE": "✖",
        "RETRY": "↻",
        "REVOKED": "⊘",
        "REJECTED": "⊗",
        "IGNORED": "∅",
        "LOST?": "?",
    },
    cursor="▸",
    mark="•",
    up="▲",
    down="▼",
    ok="✔",
    error="✖",
    warning="▲",
    live="●",
    paused="‖",
    ellipsis="…",
    crumb="▸",
    arrow="→",
    dot="·",
    full="━",
    empty="─",
    rule="─",
    unknown="?",
    sparks="▁▂▃▄▅▆▇",
    branch="├─",
    last_branch="└─",
    trunk="│",
    radio_on="(•)",
    radio_off="( )",
)

ASCII_GLYPHS = Glyphs(
    states={
        "PENDING": ".",
        "RECEIVED": "o",
        "STARTED": ">",
        "PROGRESS": ">",
        "SUCCESS": "+",
        "FAILURE": "x",
        "RETRY": "r",
        "REVOKED": "-",
        "REJECTED": "X",
        "IGNORED": "0",
        "LOST?": "?",
    },
    cursor=">",
    mark="*",
    up="^",
    down="v",
    ok="+",
    error="x",
    warning="!",
    live="*",
    paused="=",
    ellipsis="~",
    crumb=">",
    arrow="->",
    dot="-",
    full="#",
    empty=".",
    rule="-",
    unknown="?",
    sparks="_.-=+*#@",
    branch="|-",
    last_branch="`-",
    trunk="|",
    radio_on="(*)",
    radio_off="( )",
)

#: Styles remembered for one look, and for one ground: far more than there are words for.
STYLES_KEPT = 500
#: Style name -> theme variable that colours it.
_COLOURS = {
    "ok": "success",
    "error": "error",
    "warning": "warning",
    "info": "state-received",
    "accent": "accent",
    "primary": "primary",
    "title": "primary",
    "key": "accent",
    "RECEIVED": "state-received",
    "STARTED": "state-started",
    "PROGRESS": "state-started",
    "SUCCESS": "success",
    "FAILURE": "error",
    "RETRY": "state-retry",
    "REVOKED": "state-revoked",
    "REJECTED": "state-rejected",
    "LOST?": "warning",
}

#: What a theme that is not ours lacks -> where it is taken from instead.
STATE_VARIABLES = {
    "state-received": "ansi_cyan",
    "state-started": "ansi_yellow",
    "state-retry": "ansi_magenta",
    "state-revoked": "ansi_blue",
    "state-rejected": "ansi_bright_red",
}


@dataclass(frozen=True, slots=True)
class Look:
    """Glyphs, colours and keys of the moment. A new one is made when the theme changes."""

    glyphs: Glyphs
    is_ascii: bool
    is_dark: bool
    variables: dict[str, str] = field(default_factory=dict)
    styles: dict[str, Style] = field(default_factory=dict)
    styles_over: dict[Style, dict[str, Style]] = field(default_factory=dict)
    #: Binding id -> key, as it is bound here: a text that names a key takes it from here.
    keys: Mapping[str, str] = field(default_factory=shown_keys)

    def over(self, base: Style) -> dict[str, Style]:
        """Return the styles worked out so far over a base; `style_over` adds to them."""
        found = self.styles_over.get(base)
        if found is None:
            found = self.styles_over[base] = {"": base}
        return found

    def style_over(self, base: Style, name: str) -> Style:
        """Return the style of `name` laid over a base, of which there are few: the grounds."""
        found = self.over(base)
        style = found.get(name)
        if style is None:
            if len(found) > STYLES_KEPT:
                # States are anybody's to name.
                found.clear()
            style = found[name] = base + self.style(name)
        return style

    def style(self, name: str) -> Style:
        """Return the style of words like "bold error", "dim" or a task's state."""
        found = self.styles.get(name)
        if found is None:
            if len(self.styles) > STYLES_KEPT:
                self.styles.clear()
            found = Style.null()
            for word in name.split():
                found += self._word(word)
            self.styles[name] = found
        return found

    def _word(self, word: str) -> Style:
        if word in ("bold", "italic", "underline", "reverse"):
            return _plain(word)
        if word in ("dim", "PENDING", "IGNORED"):
            return self._mixed(0.62)
        if word == "faint":
            return self._mixed(0.34)
        if word in ("cursor", "picked"):
            return self._ground("primary", 0.30 if word == "cursor" else 0.14)
        if word == "chip":
            return Style(color=self._colour("background"), bgcolor=self._colour("accent"))
        if word == "bar":
            return self._ground("foreground", 0.09)
        if word.startswith("on#"):
            ground = Color.parse(word[2:])
            return Style(color=ground.get_contrast_text().rich_color, bgcolor=ground.rich_color)
        variable = _COLOURS.get(word)
        return Style(color=self._colour(variable)) if variable else Style.null()

    def _colour(self, variable: str) -> str | None:
        text = self.variables.get(variable) or STATE_VARIABLES.get(variable, "")
        colour = _parsed(text)
        return colour.rich_color.name if colour is not None else None

    def _mixed(self, ratio: float) -> Style:
        """Return the foreground moved towards the background; plain dim where colours are ANSI."""
        front = _parsed(self.variables.get("foreground", ""))
        ground = _parsed(self.variables.get("background", ""))
        if front is None or ground is None or front.ansi is not None or ground.ansi is not None:
            return Style(dim=True)
        return Style(color=ground.blend(front, ratio).rich_color)

    def _ground(self, variable: str, ratio: float) -> Style:
        """Return a background between the page and a colour; reverse where colours are ANSI."""
        front = _parsed(self.variables.get(variable, ""))
        ground = _parsed(self.variables.get("background", ""))
        if front is None or ground is None or front.ansi is not None or ground.ansi is not None:
            return Style(reverse=True) if ratio > 0.2 else Style.null()
        return Style(bgcolor=ground.blend(front, ratio).rich_color)


@lru_cache(maxsize=16)
def _plain(word: str) -> Style:
    return Style.parse(word)


@lru_cache(maxsize=256)
def _parsed(text: str) -> Color | None:
    try:
        return Color.parse(text) if text else None
    except ColorParseError:
        return None


class PlainScrollBar(ScrollBarRender):
    """A scroll bar of whole cells: it needs no signs that ASCII lacks."""

    VERTICAL_BARS: ClassVar[list[str]] = [" "] * 8
    HORIZONTAL_BARS: ClassVar[list[str]] = [" "] * 8


class LookApp(App[int]):
    """An app that owns a `Look`; the console is one, and so are the small apps of tests."""

    def __init__(self, *, is_ascii: bool = False) -> None:
        super().__init__()
        self.is_ascii = is_ascii
        #: The key table that holds here.
        self.key_table: Sequence[KeyBinding] = KEYMAP
        #: Keys that change the cluster are off here, and no text names them.
        self.is_read_only = False
        self._look: Look | None = None
        self._look_theme = ""
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = DARK.name
        if is_ascii:
            self.add_class("-ascii")

    @property
    def look(self) -> Look:
        """The look of now."""
        if self._look is None or self._look_theme != self.theme:
            self._look_theme = self.theme
            self._look = make_look(
                self.get_css_variables(),
                is_ascii=self.is_ascii,
                is_dark=self.current_theme.dark,
                keys=shown_keys(self.key_table, is_read_only=self.is_read_only),
            )
        return self._look

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Give themes that are not ours the colours of the states."""
        return dict(STATE_VARIABLES)


def make_look(
    variables: dict[str, str],
    *,
    is_ascii: bool,
    is_dark: bool = True,
    keys: Mapping[str, str] | None = None,
) -> Look:
    """Return a look over a theme's variables; `keys` as `shown_keys` gives them."""
    return Look(
        glyphs=ASCII_GLYPHS if is_ascii else UNICODE_GLYPHS,
        is_ascii=is_ascii,
        is_dark=is_dark,
        variables=variables,
        keys=shown_keys() if keys is None else keys,
    )


def look_of(widget: Widget) -> Look:
    """Return the look a widget is drawn with; a plain one in an app that has none."""
    app = widget.app
    return app.look if isinstance(app, LookApp) else make_look({}, is_ascii=False)


DARK = Theme(
    name="tqconsole-dark",
    primary="#6cb6ff",
    secondary="#768390",
    accent="#e8b45a",
    foreground="#cdd6df",
    background="#12171d",
    surface="#181e25",
    panel="#212a33",
    success="#6bc46d",
    warning="#e0a64a",
    error="#f47067",
    dark=True,
    variables={
        "border": "#3a4652",
        "border-blurred": "#2b343e",
        "state-received": "#56c7d4",
        "state-started": "#e6cd69",
        "state-retry": "#d59be8",
        "state-revoked": "#7d97ef",
        "state-rejected": "#ee8f5a",
        "scrollbar": "#2f3943",
        "scrollbar-hover": "#3d4954",
        "scrollbar-active": "#6cb6ff",
        "scrollbar-background": "#181e25",
        "scrollbar-background-hover": "#181e25",
        "scrollbar-background-active": "#181e25",
        "scrollbar-corner-color": "#181e25",
    },
)

LIGHT = Theme(
    name="tqconsole-light",
    primary="#0a5fc2",
    secondary="#6b7480",
    accent="#99580a",
    foreground="#1f262d",
    background="#fbfbf8",
    surface="#f3f3ee",
    panel="#e7e8e1",
    success="#1d7a34",
    warning="#9a6200",
    error="#c5222d",
    dark=False,
    variables={
        "border": "#b9bdb4",
        "border-blurred": "#d3d6cd",
        "state-received": "#0b7285",
        "state-started": "#8a6d00",
        "state-retry": "#8f3fb0",
        "state-revoked": "#3b53c4",
        "state-rejected": "#b4501a",
        "scrollbar": "#c8ccc3",
        "scrollbar-hover": "#b5bab0",
        "scrollbar-active": "#0a5fc2",
        "scrollbar-background": "#f3f3ee",
        "scrollbar-background-hover": "#f3f3ee",
        "scrollbar-background-active": "#f3f3ee",
        "scrollbar-corner-color": "#f3f3ee",
    },
)

THEMES = (DARK, LIGHT)


def theme_names() -> list[str]:
    """Return the names of all themes, ours first."""
    return [*(theme.name for theme in THEMES), *sorted(BUILTIN_THEMES)]
