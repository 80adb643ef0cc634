"""`tqconsole shell`: a Python prompt with the app, its tasks and the canvas at hand."""

from __future__ import annotations

import code
import importlib
from typing import Any

import click

from tqconsole.cli import exits
from tqconsole.cli.invocation import Invocation
from tqconsole.cli.verb import verb as make_verb

#: Prompts in the order in which they are looked for.
_PROMPTS = ("ipython", "bpython", "python")


@make_verb(
    "shell",
    click.Option(["-I", "--ipython", "prompt"], flag_value="ipython", help="Use IPython."),
    click.Option(["-B", "--bpython", "prompt"], flag_value="bpython", help="Use bpython."),
    click.Option(["--python", "prompt"], flag_value="python", help="Use Python's own."),
    click.Option(["-T", "--without-tasks"], is_flag=True, help="Leave the tasks out."),
    click.Option(["--eventlet", "_eventlet"], is_flag=True, help="Patch for eventlet first."),
    click.Option(["--gevent", "_gevent"], is_flag=True, help="Patch for gevent first."),
)
def verb(
    invocation: Invocation,
    prompt: str | None,
    without_tasks: bool,  # noqa: FBT001 - click passes options by name
    **_patched: bool,
) -> int:
    """Open a Python prompt with `app`, the canvas and the app's tasks by their short names."""
    invocation.import_modules()
    app = invocation.app()
    names = names_of(app, has_tasks=not without_tasks)
    for name in (prompt,) if prompt else _PROMPTS:
        if _open(name, names):
            return exits.OK
    raise click.UsageError(f"{prompt} is not installed: pip install {prompt}, or use --python")


def names_of(app: Any, *, has_tasks: bool) -> dict[str, Any]:
    """Return name -> what it stands for in the prompt."""
    canvas: Any = importlib.import_module("tqconsole.engine.canvas")
    names = {name: getattr(canvas, name) for name in canvas.__all__}
    names |= {"app": app, "celery": app, "tqconsole": importlib.import_module("tqconsole.engine")}
    if has_tasks:
        for name, task in app.tasks.items():
            if not name.startswith("celery."):
                names.setdefault(task.__name__, task)
    return names


def _open(prompt: str, names: dict[str, Any]) -> bool:
    """Open one of the prompts; False when it is not installed."""
    try:
        if prompt == "ipython":
            importlib.import_module("IPython").start_ipython(argv=[], user_ns=names)
        elif prompt == "bpython":
            importlib.import_module("bpython").embed(names)
        else:
            code.interact(banner=_banner(names), local=names, exitmsg="")
    except ModuleNotFoundError as error:
        if (error.name or "").lower() != prompt:
            raise
        return False
    return True


def _banner(names: dict[str, Any]) -> str:
    return f"At hand: {', '.join(sorted(names))}"
