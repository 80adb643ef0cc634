"""Options that an app adds to the program, as Celery's do: click options in its `user_options`.

Those under "preload" are options of every verb and are told by the signal `user_preload_options`
before the verb runs; those under "worker" are options of `worker`, and stand in the `user_options`
of what `celeryd_init` tells. The app has to be named in front of the verb: it is asked before the
verb's own options are read.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import click

from tqconsole.cli.invocation import Invocation
from tqconsole.cli.loading import AppError
from tqconsole.engine.exceptions import EngineError

#: Global options that decide what is imported; one that is still to come has the app wait for it.
_BEFORE_IMPORT = {"--workdir": "workdir", "--config": "config", "--loader": "loader"}


def with_user_options(command: click.Command, invocation: Invocation) -> click.Command:
    """Return a verb with what the app adds to it; the same one where it adds nothing.

    An app that cannot be loaded adds nothing: the verb says so when it needs it.
    """
    app = _app_named_before(invocation)
    if app is None:
        return command
    preload = _named(app, "preload")
    own = _named(app, "worker") if command.name == "worker" else {}
    if not (preload or own):
        return command
    assert command.callback is not None  # noqa: S101 - every verb has its function
    extended = copy.copy(command)
    extended.params = [*preload.values(), *own.values(), *command.params]
    extended.callback = _telling(command.callback, app, frozenset(preload), frozenset(own))
    return extended


def _app_named_before(invocation: Invocation) -> Any:
    options = invocation.options
    if invocation.is_given:
        return invocation.app()
    if not options.app:
        return None
    said = {word.partition("=")[0] for word in invocation.words}
    if any(word in said and not getattr(options, name) for word, name in _BEFORE_IMPORT.items()):
        return None
    try:
        invocation.prepare()
        return invocation.app()
    except (AppError, EngineError):
        return None


def _named(app: Any, verb: str) -> dict[str, click.Parameter]:
    found = getattr(app, "user_options", {}).get(verb, ())
    return {str(param.name): param for param in sorted(found, key=lambda it: str(it.name))}


def _telling(
    call: Callable[..., Any], app: Any, preload: frozenset[str], own: frozenset[str]
) -> Callable[..., Any]:
    def run(invocation: Invocation, **given: Any) -> Any:
        from tqconsole.engine import signals  # noqa: PLC0415 - few apps have such options

        told = {name: given.pop(name) for name in preload}
        if told:
            signals.user_preload_options.send(sender=call, app=app, options=told)
        if own:
            given["user_options"] = {name: given.pop(name) for name in own}
        return call(invocation, **given)

    return run
