"""Record what the real Celery says on the wire: `python tests/servers/capture_vectors.py [FOLDER]`.

A client and a worker of the installed Celery talk through a private Redis and a private RabbitMQ;
what lies in the lists, channels and queues is written to `snapshots/wire/<name>.json`, exactly, but
for two things: paths in tracebacks are cut to `/site-packages` and `/app`, and the host is called
`lab`, so that a file names no machine. `tests/protocol/test_golden.py` reads them without a server.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import celery
from capture_rabbitmq import record_rabbitmq
from capture_redis import record_redis

HERE = Path(__file__).resolve().parent


def main(target: Path, which: str) -> None:
    """Record both brokers (each in a process of its own: an app has one broker)."""
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        record = record_redis if which == "redis" else record_rabbitmq
        for vector in record(Path(folder)):
            vector["celery"] = celery.__version__
            text = json.dumps(vector, indent=1, sort_keys=True, ensure_ascii=False)
            (target / f"{vector['name']}.json").write_text(text + "\n")


if __name__ == "__main__":
    destination = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE.parents[1] / "snapshots/wire"
    if len(sys.argv) > 2:
        main(destination, sys.argv[2])
    else:
        for broker in ("redis", "rabbitmq"):
            command = [sys.executable, __file__, str(destination), broker]
            subprocess.run(command, check=True)
