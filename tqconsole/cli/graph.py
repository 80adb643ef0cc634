"""`tqconsole graph`: the workers as a drawing for graphviz."""

from __future__ import annotations

from typing import Any

import click

from tqconsole.cli import exits
from tqconsole.cli.invocation import Invocation
from tqconsole.cli.verb import VerbGroup
from tqconsole.cli.verb import verb as make_verb
from tqconsole.remote_control import RemoteControl

#: Slots of one worker that are drawn; the rest is a number.
_MOST_SLOTS = 16


@make_verb("workers", click.Argument(["words"], nargs=-1, metavar="[nodes:A,B] [threads:N]"))
def workers(invocation: Invocation, words: tuple[str, ...]) -> int:
    """Print broker, workers and their slots as a digraph: pipe it to `dot -Tpng`.

    Without `nodes:` the workers that are online are drawn.
    """
    given = dict(_pair(word) for word in words)
    names = [name for name in given.get("nodes", "").split(",") if name]
    app = invocation.cluster()
    slots = {name: int(given.get("threads", "0")) for name in names} or _slots_of(app)
    if not slots:
        invocation.output.error(
            f"No nodes replied within time constraint{invocation.whereabouts()}"
        )
        return exits.NO_REPLY
    if invocation.output.is_json:
        invocation.output.json({"broker": app.broker.url, "workers": slots})
    else:
        invocation.output.text(dot_of(app.broker.url, slots))
    return exits.OK


@make_verb("bootsteps")
def bootsteps(invocation: Invocation) -> int:
    """Say why there is nothing to draw."""
    del invocation
    raise click.UsageError(
        "workers of tqconsole are not built of bootsteps: their parts start in one fixed order"
    )


def dot_of(broker_url: str, slots: dict[str, int]) -> str:
    """Return broker -> workers -> slots in graphviz's language."""
    lines = ["digraph workers {", "  rankdir=LR", f"  {_quoted(broker_url)} [shape=cylinder]"]
    for name, count in sorted(slots.items()):
        lines.append(f"  {_quoted(name)} [shape=box]")
        lines.append(f"  {_quoted(broker_url)} -> {_quoted(name)}")
        drawn = [f"slot {number}" for number in range(1, min(count, _MOST_SLOTS) + 1)]
        if count > _MOST_SLOTS:
            drawn.append(f"{count - _MOST_SLOTS} more")
        for word in drawn:
            lines.append(f"  {_quoted(f'{name} {word}')} [label={_quoted(word)}]")
            lines.append(f"  {_quoted(name)} -> {_quoted(f'{name} {word}')}")
    return "\n".join([*lines, "}"])


def _slots_of(app: Any) -> dict[str, int]:
    replies = RemoteControl(app.control).stats().replies
    return {
        name: int(stats.get("pool", {}).get("max-concurrency") or 0)
        for name, stats in replies.items()
        if isinstance(stats, dict)
    }


def _pair(word: str) -> tuple[str, str]:
    key, separator, value = word.partition(":")
    if (
        key not in ("nodes", "threads")
        or not separator
        or (key == "threads" and not value.isdigit())
    ):
        raise click.UsageError(f"{word!r} is none of nodes:A,B and threads:N")
    return key, value


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


verb = VerbGroup("graph", help="Draw the cluster for graphviz.", commands=[workers, bootsteps])
