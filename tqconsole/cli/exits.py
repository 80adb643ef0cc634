"""The exit codes of the command line (Celery's where it has one)."""

from __future__ import annotations

#: Done.
OK = 0
#: The command was understood and did not succeed.
FAILED = 1
#: The command line, a setting or a file says something that cannot be meant.
USAGE = 2
#: What `watch` was to watch for is so.
WATCHED = 3
#: No worker answered.
NO_REPLY = 69
#: A file that must be ours cannot be made, or a living process holds it (Celery's).
CANNOT_CREATE = 73
#: The broker or the result store does not answer.
UNREACHABLE = 75
#: Interrupted with Ctrl-C.
INTERRUPTED = 130
