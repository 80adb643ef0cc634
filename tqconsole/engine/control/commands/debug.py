"""Broadcast commands for hunting memory leaks in a worker. Reply shapes: wire.md §6.3."""

from __future__ import annotations

import gc
import os
import tempfile
from collections import deque
from importlib import import_module
from pathlib import Path

from tqconsole.engine.control.panel import Panel
from tqconsole.engine.control.table import Danger, inspect_command
from tqconsole.engine.exceptions import NotSupportedError

_STATM = Path("/proc/self/statm")
#: Readings kept between `memsample` and `memdump`; they describe this process, so it owns them.
_SAMPLES: deque[str] = deque(maxlen=1000)


@inspect_command()
def memsample(panel: Panel) -> str:
    """Read how much memory the worker's main process uses."""
    reading = _resident_text()
    _SAMPLES.append(reading)
    return reading


@inspect_command(args=[("samples", int)], signature="[n_samples=10]")
def memdump(panel: Panel, samples: int = 10) -> str:
    """Show the readings of memsample since the last dump, and memory after a collection."""
    step = max(1, -(-len(_SAMPLES) // max(1, samples)))
    chosen = list(_SAMPLES)[::step]
    _SAMPLES.clear()
    gc.collect()
    lines = ["- rss (sample):", *(f"-    > {reading}," for reading in chosen)] if chosen else []
    return "\n".join([*lines, f"- rss (end): {_resident_text()}."]) + "\n"


@inspect_command(
    default_timeout=60.0,
    args=[("type", str), ("num", int), ("max_depth", int)],
    signature="[object_type=Request] [num=200 [max_depth=10]]",
    danger=Danger.CHANGES,
)
def objgraph(
    panel: Panel,
    num: int = 200,
    max_depth: int = 10,
    type: str = "Request",  # noqa: A002 - wire name
) -> dict[str, str]:
    """Write a picture of what keeps objects of a type alive (needs the objgraph package)."""
    try:
        graphs = import_module("objgraph")
    except ImportError as error:
        raise ImportError("Requires the objgraph library: pip install objgraph") from error
    objects = graphs.by_type(type)[:num]
    with tempfile.NamedTemporaryFile(prefix="cobjg", suffix=".png", delete=False) as file:
        graphs.show_backrefs(
            objects, max_depth=max_depth, highlight=lambda item: item in objects, filename=file.name
        )
        return {"filename": file.name}


def _resident_text() -> str:
    """Return this process's resident memory, as Celery writes it ("45.3MB")."""
    try:
        pages = int(_STATM.read_text().split()[1])
    except OSError as error:
        raise NotSupportedError("memory can be read on Linux only (/proc/self/statm)") from error
    return f"{pages * os.sysconf('SC_PAGE_SIZE') / 1024**2:.5g}MB"
