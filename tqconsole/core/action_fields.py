"""The inputs of the actions' dialogs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Field:
    """One input of an action's dialog; `name` is the key in `ActionRequest.arguments`.

    `kind` is text, int, float, bool, choice, stamps, json-list or json-object. An empty text of a
    field that is not required means "not given".
    """

    name: str
    label: str
    kind: str = "text"
    default: str = ""
    choices: tuple[str, ...] = ()
    is_required: bool = False
    help: str = ""


QUEUE = Field("queue", "Queue", is_required=True)
TASK_NAME = Field("task_name", "Task type", is_required=True)
COUNT = Field("count", "Processes", "int", "1", is_required=True)
SIGNAL = Field("signal", "Signal", "choice", "SIGTERM", ("SIGTERM", "SIGINT", "SIGKILL"))

#: What is revoked by the stamps it carries, and whether what runs of it is killed.
STAMPS_FIELDS = (
    Field("stamps", "Stamp", "stamps", is_required=True, help="name=value; of several, any"),
    Field("signal", "Kill what runs", "choice", "no", ("no", "SIGTERM", "SIGINT", "SIGKILL")),
)
#: A rate and the limits of a run, wherever they are set.
RATE = Field("rate_limit", "Rate", default="10/m", is_required=True, help="10/s, 10/m, 10/h")
HARD = Field("hard", "Hard s", "float", help="empty: none")
SOFT = Field("soft", "Soft s", "float", help="empty: none")
CALL_FIELDS = (
    Field("task_name", "Task", is_required=True),
    Field("args", "Args", "json-list", "[]", help="a JSON list"),
    Field("kwargs", "Kwargs", "json-object", "{}", help="a JSON object"),
    Field("queue", "Queue", help="empty: as its last call, else the default queue"),
    Field("priority", "Priority", "int"),
    Field("countdown", "Countdown s", "float"),
    Field("eta", "ETA", help="ISO 8601, e.g. 2026-11-20T18:00:00+00:00"),
    Field("expires", "Expires s", "float"),
    Field("ignore_result", "Ignore the result", "bool", "false"),
    Field("task_id", "Task id", help="empty: a new one"),
)
#: What `worker.inspect` may ask for.
INSPECTABLE = (
    "active",
    "reserved",
    "scheduled",
    "revoked",
    "registered",
    "active_queues",
    "stats",
    "conf",
    "report",
    "clock",
    "ping",
    "memsample",
    "memdump",
)
