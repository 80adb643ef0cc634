"""Runs the pools' contract in a process patched for a green pool: `green_contract.py gevent`.

What is only about other pools, or needs real threads, is left out by name.
"""

import os
import sys
from pathlib import Path

from tqconsole.green import patch

OTHERS = ("solo", "threads", "custom", "unknown", "every_name", "info_has", "refuse_to_terminate")

#: eventlet lets no two greenlets wait for one descriptor, as these do at the gate.
TWO_AT_THE_GATE = {"eventlet": ("side_by_side", "shrinking_waits")}

if __name__ == "__main__":
    patch(sys.argv[1])
    os.environ["GREEN_POOL"] = sys.argv[1]
    import pytest

    left_out = " and ".join(
        f"not {word}" for word in (*OTHERS, *TWO_AT_THE_GATE.get(sys.argv[1], ()))
    )
    contract = str(Path(__file__).parent / "test_pool_contract.py")
    options = [
        "-v",
        "-p",
        "no:timeout",
        "-o",
        "addopts=",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:textual_snapshot",
        "-W",
        "default",
    ]
    sys.exit(pytest.main([*options, "-k", left_out, contract]))
