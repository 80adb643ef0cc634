"""The real Celery speaks again: what it says today has the shape of what was recorded."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
RECORDED = HERE.parents[1] / "snapshots" / "wire"
sys.path.insert(0, str(HERE.parent / "protocol"))

from golden import message_of, shape  # noqa: E402 - it stands beside the other golden tests

from tqconsole.engine.protocol.event import decode_events  # noqa: E402
from tqconsole.engine.protocol.limits import Limits  # noqa: E402
from tqconsole.engine.protocol.payload import decoded_payload  # noqa: E402
from tqconsole.engine.protocol.result import ResultRecord, decode_record  # noqa: E402
from tqconsole.engine.serialization import content_types  # noqa: E402

ACCEPT = content_types(["json", "pickle", "yaml", "msgpack"])


def shape_of(vector: dict[str, Any]) -> Any:
    """Return names and types of everything in a vector, values left out."""
    message = message_of(vector)
    if vector["kind"] == "event":
        # A batch holds whatever else happened in that tick.
        kind = vector.get("type", "worker-heartbeat")
        return shape(next(event for event in decode_events(message) if event["type"] == kind))
    if vector["kind"] == "result":
        return shape_of_record(decode_record(message.body))
    body = decoded_payload(message, ACCEPT, Limits())
    return shape([body, message.headers, message.properties])


def shape_of_record(record: ResultRecord) -> Any:
    fields = {name: getattr(record, name) for name in ResultRecord.__slots__}
    return shape(fields)


@pytest.mark.server
@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("broker", ["redis", "rabbitmq"])
def test_celery_still_speaks_as_recorded(broker: str, tmp_path: Path) -> None:
    script = [sys.executable, str(HERE / "capture_vectors.py"), str(tmp_path), broker]
    subprocess.run(script, check=True)
    today = {path.stem: json.loads(path.read_text()) for path in tmp_path.glob("*.json")}
    prefix = "redis" if broker == "redis" else "amqp"
    recorded = {path.stem: json.loads(path.read_text()) for path in RECORDED.glob(f"{prefix}-*")}
    assert today.keys() == recorded.keys()
    changed = [name for name in today if shape_of(today[name]) != shape_of(recorded[name])]
    assert changed == []
