"""Setup: theme, frame rate, columns and keys, each in a menu; what is picked is saved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tqconsole.core.keymap import BINDINGS_BY_ID
from tqconsole.core.setup import FRAME_RATES, FRAMES_PER_S, Setup, save_setup, setup_path
from tqconsole.widgets import figures
from tqconsole.widgets.base_app import BaseApp
from tqconsole.widgets.keys import shown_key
from tqconsole.widgets.look import look_of
from tqconsole.widgets.menu import Choice, Menu
from tqconsole.widgets.table_screen import TableScreen
from tqconsole.widgets.text_viewer import TextDialog

_KEYS_TEXT = """Keys are bound anew in {path}

    [keys]
    "tasks.rerun" = "T"
    "list.filter" = ["slash", "f7"]

docs/console.md names every key's id. An uppercase letter is for what changes the cluster, and
only for that. A clash or an unknown name is told when the console starts.

{bound}"""


class Setting:
    """Opens the menus over an app, and carries out and saves what is picked."""

    def __init__(self, app: BaseApp) -> None:
        self._app = app

    def open(self) -> None:
        """Let one of the settings be picked."""
        setup, table = self._app.setup, self._table_screen()
        hidden = len(setup.hidden_columns.get(table.TAB, ())) if table is not None else 0
        place = "here" if table is None else f"of {table.TAB}"
        choices = [
            Choice("theme", "Theme", "t", self._app.theme),
            Choice("rate", "Frames a second", "f", str(setup.frames_per_s or FRAMES_PER_S)),
            Choice("columns", f"Columns {place}", "c", f"{hidden} hidden", table is None),
            Choice("keys", "Keys", "k", f"{len(setup.keys)} bound anew"),
        ]
        usage = self._app.usage
        if usage is not None:
            own = figures.usage(usage.cpu_ratio, usage.resident_bytes)
            choices.append(Choice("usage", "This console", "", own, is_off=True))
        menus = {
            "theme": self._themes,
            "rate": self._rates,
            "columns": self._columns,
            "keys": self._keys,
        }
        self._app.push_screen(
            Menu("Setup", choices), lambda picked: menus[picked]() if picked else None
        )

    def set_theme(self, name: str) -> None:
        """Change the theme; a name that is none is told with those there are."""
        if name in self._app.available_themes:
            self._app.theme = name
            self._keep(replace(self._app.setup, theme=name))
        else:
            known = ", ".join(self._app.available_themes)
            self._app.tell(f"No theme {name!r}: {known}", is_error=True)

    def keep_filter(self, name: str, expression: str) -> None:
        """Keep a filter by name; an empty one is forgotten."""
        kept = {known: text for known, text in self._app.setup.filters.items() if known != name}
        if expression:
            kept[name] = expression
        self._keep(replace(self._app.setup, filters=kept))

    def _keep(self, setup: Setup) -> None:
        self._app.setup = setup
        try:
            path = save_setup(setup)
        except OSError as error:
            self._app.tell(f"Not saved: {error}", is_error=True)
        else:
            self._app.tell(f"saved in {path}")

    def _themes(self) -> None:
        choices = [Choice(name, name) for name in self._app.available_themes]
        self._app.push_screen(
            Menu("Theme", choices), lambda name: self.set_theme(name) if name else None
        )

    def _rates(self) -> None:
        notes = {1: "an idle glance", 4: "a slow line", FRAMES_PER_S: "the usual"}
        choices = [Choice(str(rate), f"{rate}/s", "", notes.get(rate, "")) for rate in FRAME_RATES]

        def picked(rate: str | None) -> None:
            if rate:
                self._keep(replace(self._app.setup, frames_per_s=int(rate)))
                self._app.set_frame_rate()

        self._app.push_screen(Menu("Frames a second", choices), picked)

    def _columns(self) -> None:
        screen = self._table_screen()
        if screen is None:
            return
        hidden = set(self._app.setup.hidden_columns.get(screen.TAB, ()))
        glyphs = look_of(screen).glyphs
        signs = {True: f"{glyphs.radio_off} hidden", False: f"{glyphs.radio_on} shown"}
        choices = [
            Choice(
                column.key,
                column.title or column.key,
                "",
                signs[column.key in hidden] if index else "always shown",
                # Without its first column nobody knows what a row is.
                is_off=index == 0,
            )
            for index, column in enumerate(screen.main_table.columns)
        ]

        def picked(key: str | None) -> None:
            if key:
                changed = hidden ^ {key}
                self._keep(self._app.setup.with_hidden(screen.TAB, changed))
                screen.hide_columns(changed)
                self._columns()

        self._app.push_screen(Menu(f"Columns of {screen.TAB}   enter turns one", choices), picked)

    def _keys(self) -> None:
        lines = [
            f"{_shown(keys):<18} {binding_id:<22} {BINDINGS_BY_ID[binding_id].label}"
            for binding_id, keys in self._app.setup.keys.items()
        ]
        bound = "\n".join(["Bound anew:", *lines]) if lines else "None is bound anew."
        self._app.push_screen(TextDialog("Keys", _KEYS_TEXT.format(path=setup_path(), bound=bound)))

    def _table_screen(self) -> TableScreen | None:
        shown = self._app.shown_screen()
        return shown if isinstance(shown, TableScreen) and shown.TAB else None


def _shown(keys: Sequence[str]) -> str:
    return " ".join(shown_key(key) for key in keys)
