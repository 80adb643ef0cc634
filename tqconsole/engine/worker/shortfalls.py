"""What the worker's broker cannot do, in one line for the log, before anybody has to find out."""

from __future__ import annotations

from tqconsole.engine.brokers.base import Capabilities

#: Capability -> what its absence means for who runs tasks here.
_MEANINGS = {
    "can_fanout": "no remote control and no events, so neither status nor the console sees workers",
    "keeps_unacked": "what a killed worker has in hand is lost, also with late ack",
    "can_rank": "no priorities",
    "can_park": "calls with an ETA or countdown wait in this worker's memory",
}


def shortfalls(transport: str, capabilities: Capabilities) -> str:
    """Return the line, "" when there is nothing to tell."""
    told = [text for name, text in _MEANINGS.items() if not getattr(capabilities, name)]
    return f"What {transport}:// cannot do: {'; '.join(told)}" if told else ""
