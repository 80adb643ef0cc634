"""What came back from a broadcast command: who answered, who did not, in what time."""

from __future__ import annotations

from typing import Any

import msgspec


class Answers(msgspec.Struct, frozen=True):
    """The replies to one request.

    `missing` names live nodes that stayed silent and names that nobody bears. `known_count` is how
    many nodes were expected to answer, None where the broker cannot tell (then the whole timeout
    was waited). `duplicates`: node names under which more than one node answered.
    """

    replies: dict[str, Any]
    missing: tuple[str, ...] = ()
    elapsed_s: float = 0.0
    known_count: int | None = None
    duplicates: tuple[str, ...] = ()

    @property
    def errors(self) -> dict[str, str]:
        """Node -> its own words, of those that refused."""
        return {
            node: str(value["error"])
            for node, value in self.replies.items()
            if isinstance(value, dict) and value.keys() == {"error"}
        }
