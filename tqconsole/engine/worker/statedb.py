"""`--statedb`: the revoked ids that outlive a restart, in a JSON file of the user's own (0600).

Celery keeps a shelve of pickles there; a file is not worth running what stands in it. A file that
cannot be read is told of and replaced at the next save.
"""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

logger = logging.getLogger(__name__)

#: Version of the file's layout.
_LAYOUT = 1


class StateFile:
    """The file. `save` replaces it as a whole, so that a crash leaves the old or the new one."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._saved: tuple[list[str], int] | None = None

    def load(self) -> tuple[list[str], int]:
        """Return (revoked ids, oldest first; logical clock); nothing when there is no good file."""
        try:
            state = json.loads(self._path.read_bytes())
            revoked_ids = [str(each) for each in state["revoked"]]
            clock = int(state["clock"])
        except FileNotFoundError:
            return [], 0
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            logger.warning(
                "The state file %s cannot be read and is begun anew: %s", self._path, error
            )
            return [], 0
        return revoked_ids, clock

    def save(self, revoked_ids: list[str], clock: int) -> None:
        """Write the state if it has changed; a failure is told of, it stops no worker."""
        if self._saved is not None and self._saved[0] == revoked_ids:
            return
        beside = self._path.with_name(f"{self._path.name}.{os.getpid()}.new")
        text = json.dumps({"layout": _LAYOUT, "revoked": revoked_ids, "clock": clock})
        try:
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123 - a descriptor, for its mode
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self._path)
        except OSError as error:
            logger.warning("The state file %s cannot be written: %s", self._path, error)
            return
        self._saved = (revoked_ids, clock)
