"""The inputs of an action's dialog, made from the fields of `core.actions`, and their checks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from textual.containers import Horizontal
from textual.suggester import SuggestFromList
from textual.widget import Widget
from textual.widgets import Input

from tqconsole.core.action_fields import Field
from tqconsole.core.errors import ActionError
from tqconsole.core.stamps import read_stamps
from tqconsole.widgets.choices import Choices
from tqconsole.widgets.lines import Lines

#: Cells of the labels' column.
LABEL_WIDTH = 19


def field_row(
    field: Field,
    value: str | None = None,
    *,
    label_width: int = LABEL_WIDTH,
    names: Sequence[str] = (),
) -> Horizontal:
    """Return label and input of one field; `names` complete what is typed."""
    text = field.default if value is None else value
    label = Lines(lambda _width, _look: [[(field.label, "dim")]], classes="field-label")
    label.styles.width = label_width
    return Horizontal(label, _input(field, text, names), classes="field-row")


def _input(field: Field, text: str, names: Sequence[str]) -> Widget:
    if field.kind == "choice":
        options = [(choice, choice, "") for choice in field.choices]
        return Choices(options, value=text, is_row=True, id=field_id(field))
    if field.kind == "bool":
        return Choices(
            [("false", "no", ""), ("true", "yes", "")], value=text, is_row=True, id=field_id(field)
        )
    return Input(
        text,
        placeholder=field.help,
        suggester=SuggestFromList(names) if names else None,
        compact=True,
        classes="field-input",
        id=field_id(field),
    )


def field_id(field: Field) -> str:
    """Return the widget id of a field."""
    return f"field-{field.name.replace('_', '-')}"


def read_fields(root: Widget, fields: Iterable[Field]) -> dict[str, str]:
    """Return field name -> text, of the inputs below `root`."""
    values: dict[str, str] = {}
    for field in fields:
        widget = root.query_one(f"#{field_id(field)}")
        if isinstance(widget, Input | Choices):
            values[field.name] = widget.value.strip()
    return values


def write_fields(root: Widget, fields: Iterable[Field], values: Mapping[str, str]) -> None:
    """Put texts into the inputs below `root`; what `values` does not name gets its default."""
    for field in fields:
        text = values.get(field.name, field.default)
        widget = root.query_one(f"#{field_id(field)}")
        if isinstance(widget, Input):
            widget.value = text
        elif isinstance(widget, Choices):
            widget.choose(text)


def complaint(field: Field, text: str) -> str:
    """Return what is wrong with a field's text, "" when nothing is."""
    if not text:
        return f"{field.label} is missing" if field.is_required else ""
    match field.kind:
        case "int":
            return "" if _is_number(text, int) else f"{field.label}: a whole number is wanted"
        case "float":
            return "" if _is_number(text, float) else f"{field.label}: a number is wanted"
        case "stamps":
            return _stamps_complaint(text)
        case "json-list":
            return json_complaint(text, list, field.label)
        case "json-object":
            return json_complaint(text, dict, field.label)
        case _:
            return ""


def _stamps_complaint(text: str) -> str:
    try:
        read_stamps(text)
    except ActionError as error:
        return str(error)
    return ""


def _is_number(text: str, kind: type[int] | type[float]) -> bool:
    try:
        kind(text)
    except ValueError:
        return False
    return True


def json_complaint(
    text: str, kind: type[list[object]] | type[dict[str, object]], label: str
) -> str:
    """Return why `text` is not the JSON that is wanted, with the column where it breaks."""
    wanted = 'a JSON list, like [1, "a"]' if kind is list else 'a JSON object, like {"n": 1}'
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        return f"{label}, column {error.colno}: {error.msg}"
    except RecursionError:
        return f"{label}: nested too deeply"
    return "" if isinstance(value, kind) else f"{label}: {wanted} is wanted"


def complaints(fields: Iterable[Field], values: dict[str, str]) -> list[str]:
    """Return what is wrong with all fields."""
    found = (complaint(field, values.get(field.name, "")) for field in fields)
    return [text for text in found if text]
