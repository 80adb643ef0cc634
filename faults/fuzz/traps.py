"""Payloads that run code where a reader is careless, and the mark by which that is seen."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

#: Names the file that a sprung trap leaves behind.
VARIABLE = "FUZZ_MARK"


def spring(*_: Any, **__: Any) -> str:
    """Leave a mark: this code came from a message."""
    path = Path(os.environ.get(VARIABLE, "fuzz-trap-sprung"))
    path.touch()
    return "sprung"


class _Trap:
    def __reduce__(self) -> Any:
        return spring, ()


#: A pickle that springs when it is read.
PICKLE = pickle.dumps([[_Trap()], {}, {}])
#: The same for YAML's unsafe readers.
YAML = b"- [!!python/object/apply:faults.fuzz.traps.spring []]\n- {}\n- {}\n"
#: An exception record that names a callable.
RECORD = {
    "exc_type": "spring",
    "exc_module": "faults.fuzz.traps",
    "exc_message": ["x"],
}
