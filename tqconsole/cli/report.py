"""`tqconsole report`: versions and settings for a bug report."""

from __future__ import annotations

from tqconsole.cli import exits
from tqconsole.cli.invocation import Invocation
from tqconsole.cli.verb import verb as make_verb


@make_verb("report")
def verb(invocation: Invocation) -> int:
    """Print versions, platform and settings (secrets masked) for a bug report."""
    app = invocation.app()
    text = app.bugreport()
    if invocation.output.is_json:
        invocation.output.json({"report": text})
    else:
        invocation.output.line(text.strip("\n"))
    return exits.OK
