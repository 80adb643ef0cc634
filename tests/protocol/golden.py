"""The recorded vectors of the real Celery, as messages."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tqconsole.engine.exceptions import RefusedError
from tqconsole.engine.protocol.envelope import from_envelope
from tqconsole.engine.protocol.message import Message

FOLDER = Path(__file__).resolve().parents[2] / "snapshots" / "wire"
#: Properties that other layers own: the consumer's tag, the record's own type, and a leak of
#: kombu's on retries (wire.md §1.3).
_NOT_OURS = ("content_type", "content_encoding", "origin")
VECTORS: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))
}


def names(kind: str) -> list[str]:
    """Return the names of all vectors of a kind, sorted."""
    return [name for name, vector in VECTORS.items() if vector["kind"] == kind]


def message_of(vector: dict[str, Any]) -> Message:
    """Return the message in a vector of either transport."""
    if "record" in vector:
        return Message(base64.b64decode(vector["record"]))
    if "envelope" in vector:
        return from_envelope(vector["envelope"].encode())[0]
    properties = vector["properties"]
    return Message(
        base64.b64decode(vector["body"]),
        properties["content_type"],
        properties["content_encoding"],
        vector["headers"],
        {name: value for name, value in properties.items() if name not in _NOT_OURS},
    )


def shape(value: Any) -> Any:
    """Return types in place of values: what must not change when Celery speaks again."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [shape(item) for item in value]
    return type(value).__name__


def refusal(read: Callable[..., Any], *args: Any) -> str | None:
    """Return why `read(*args)` refuses, None if it does not; another error passes through."""
    try:
        read(*args)
    except RefusedError as error:
        return error.reason
    return None
