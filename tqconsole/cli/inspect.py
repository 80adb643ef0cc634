"""`tqconsole inspect COMMAND`: ask the workers something."""

from __future__ import annotations

from tqconsole.cli.remote_verb import remote_verb
from tqconsole.engine.control.table import Kind

verb = remote_verb(Kind.INSPECT, "Ask the workers something; nothing is changed.")
