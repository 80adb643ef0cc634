"""How much of a message is read, and the words for why one is refused.

Nothing that arrives may stop a worker or a client: every decoder of this folder takes a `Limits`
and raises `RefusedError(reason, detail)` and nothing else. The reason stands in the dead letter, in
logs and on the console, so it is a closed list of kebab-case words.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Reason(StrEnum):
    """Why a message was refused or put to the dead letters."""

    NOT_A_TASK = "not-a-task"
    CONTENT_TYPE = "content-type"
    UNDECODABLE = "undecodable"
    TOO_LARGE = "too-large"
    TOO_DEEP = "too-deep"
    BAD_HEADER = "bad-header"
    BAD_BODY = "bad-body"
    BAD_SIGNATURE = "bad-signature"
    BAD_ENVELOPE = "bad-envelope"
    BAD_REQUEST = "bad-request"
    UNKNOWN_TASK = "unknown-task"
    WORKER_LOST = "worker-lost"
    REJECTED = "rejected"
    EXPIRED_RETRIES = "expired-retries"


class Limits(msgspec.Struct, frozen=True):
    """What is read at most. Users change the first two by settings."""

    #: Bytes of a body as it came; more than any sane task, less than a worker's memory.
    wire_bytes: int = 64 * 1024 * 1024
    #: Bytes after decompression; the inflater stops there (a 1 MB bomb can hold 1 GB).
    inflated_bytes: int = 128 * 1024 * 1024
    #: Lists and maps within each other; real chains of chords stay below 60.
    depth: int = 100
    #: UTF-8 bytes of an id or name: they become keys, queue names and file names.
    name_bytes: int = 255


#: The limits of the reliability plan; used where nobody set others.
DEFAULT_LIMITS = Limits()
