"""What a call has brought about, as a tree: `tqconsole result ID --tree`.

Records tell of their children once they have ended; what has not ended ends its branch. A child of
a chain brings the group before it along, so that a chord is seen whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tqconsole.cli.output import Output
from tqconsole.engine import states

#: Nodes that are printed; a branch that would make more is told by a count.
_MOST_NODES = 2_000
#: Characters of a value.
_VALUE_CHARS = 60


def print_tree(output: Output, result: Any) -> None:
    """Print the tree of a result, as text or as JSON."""
    if output.is_json:
        output.json(_fields(result, set()))
        return
    for line in _lines(result, set()):
        output.text(line)


def _fields(result: Any, seen: set[str]) -> dict[str, Any]:
    """Return a node and what is below it, for JSON."""
    seen.add(result.id)
    fields: dict[str, Any] = {"id": result.id}
    if _is_group(result):
        fields.update(kind="group", state=_state(result))
    else:
        value = result.result
        has_value = result.state not in states.EXCEPTION_STATES
        fields.update(kind="task", name=result.name, state=result.state)
        fields["result"] = value if has_value else repr(value)
    fields["children"] = [_fields(child, seen) for child in _below(result, seen)]
    return fields


def _lines(result: Any, seen: set[str], lead: str = "", mark: str = "") -> Iterator[str]:
    """Yield a node's line and those below it."""
    seen.add(result.id)
    yield f"{lead}{mark}{_words(result)}"
    if mark:
        lead += "   " if mark.startswith("└") else "│  "
    below = list(_below(result, seen))
    for number, child in enumerate(below, 1):
        if len(seen) >= _MOST_NODES:
            yield f"{lead}└─ ... and {len(below) - number + 1} more"
            return
        yield from _lines(child, seen, lead, "└─ " if number == len(below) else "├─ ")


def _below(result: Any, seen: set[str]) -> Iterator[Any]:
    """Yield what stands below a node, once in a tree: its children, and the groups before them."""
    if _is_group(result):
        # Read at once: a group may be long.
        result.ready()
    for child in result.children or ():
        line = [child]
        while line[-1].parent is not None and line[-1].parent.id not in seen:
            line.append(line[-1].parent)
        for node in reversed(line):
            if node.id not in seen:
                yield node


def _words(result: Any) -> str:
    if _is_group(result):
        return f"group {result.id}  {_state(result)}  {result.completed_count()}/{len(result)}"
    record = result.record()
    name = f"{result.name}  " if result.name else ""
    value = "" if record.state == states.PENDING else f"  {record.result!r:.{_VALUE_CHARS}}"
    return f"{result.id}  {name}{record.state}{value}"


def _state(group: Any) -> str:
    if not group.ready():
        return states.PENDING
    return states.SUCCESS if group.successful() else states.FAILURE


def _is_group(result: Any) -> bool:
    return hasattr(result, "results")
