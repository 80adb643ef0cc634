"""`tqconsole control COMMAND`: have the workers do something."""

from __future__ import annotations

from tqconsole.cli.remote_verb import remote_verb
from tqconsole.engine.control.table import Kind

verb = remote_verb(Kind.CONTROL, "Have the workers do something.")
