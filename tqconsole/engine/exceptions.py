"""Every error the engine raises, and the directives by which a task steers its own run.

The names that Celery users catch keep Celery's names; in stored results their module is written
as `celery.exceptions`, so that a Celery client can raise them (`protocol/result.py` maps them).

    Exception
    ├── EngineError                 everything below that is an error of ours
    │   ├── ImproperlyConfigured    a setting or URL is wrong
    │   ├── NotRegistered           (also KeyError) no task of that name
    │   ├── QueueNotFound           (also KeyError) unknown queue and none may be made
    │   ├── TimeoutError            (also builtins.TimeoutError) a wait ended without an answer
    │   ├── EncodeError             a payload cannot be serialised
    │   ├── RefusedError            something that arrived is not acceptable (typed reason)
    │   ├── OperationalError        the broker or result store failed or is unreachable
    │   │   └── BrokerUnreachableError
    │   ├── NotSupportedError       this broker, store or pool cannot do that
    │   ├── MaxRetriesExceededError, TaskRevokedError, TimeLimitExceeded, SoftTimeLimitExceeded,
    │   │   WorkerLostError, ChordError, InvalidTaskError, BackendError, RemoteTaskError, ...
    └── Directive                   not errors: Ignore (Replaced), Reject, Retry
"""

from __future__ import annotations

import builtins
from typing import Any


class EngineError(Exception):
    """Base of every error the engine raises."""


class ImproperlyConfigured(EngineError):
    """A setting, URL or app path is wrong; the text says which and what to do."""


class NotRegistered(EngineError, KeyError):
    """No task of that name is known here."""

    def __repr__(self) -> str:
        return f"NotRegistered({self.args[0]!r})" if self.args else "NotRegistered()"

    def __str__(self) -> str:
        return Exception.__str__(self) if self.args else "NotRegistered()"


class AlreadyRegistered(EngineError):
    """A task of that name is registered already."""


class QueueNotFound(EngineError, KeyError):
    """The queue is unknown and `task_create_missing_queues` is off."""

    def __str__(self) -> str:
        return Exception.__str__(self)


class TimeoutError(EngineError, builtins.TimeoutError):  # noqa: A001 - Celery's name
    """A bounded wait ended without an answer."""


class EncodeError(EngineError):
    """A payload cannot be serialised; nothing was sent."""


class DuplicateTaskError(EngineError):
    """A call with this `unique_key` is on its way; `task_id` is its id."""

    def __init__(self, text: str, task_id: str = "") -> None:
        super().__init__(text, task_id)
        self.task_id = task_id

    def __str__(self) -> str:
        return str(self.args[0])


class OperationalError(EngineError):
    """The broker or the result store failed; the text names it without its password."""


class BrokerUnreachableError(OperationalError):
    """Nobody answers at the broker's address."""


class NotAdmittedError(OperationalError):
    """A server that had let us in refuses us now; the text says what it wants."""


class NotSupportedError(EngineError, NotImplementedError):
    """This broker, result store or pool cannot do what was asked; the text says which can."""


class ForeignFileError(ImproperlyConfigured):
    """The broker's file exists and was not made by this program."""


class RefusedError(EngineError):
    """Something that arrived from outside is not acceptable.

    `reason` is one of `protocol.limits.Reason`'s values: it stands in the dead letter and in logs.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}" if self.detail else self.reason


class TaskError(EngineError):
    """Base of the errors that describe how one run ended."""


class MaxRetriesExceededError(TaskError):
    """The task asked for one retry more than it may have."""

    def __init__(self, *args: Any, task_args: Any = (), task_kwargs: Any = None) -> None:
        super().__init__(*args)
        self.task_args = task_args
        self.task_kwargs = task_kwargs or {}


class TaskRevokedError(TaskError):
    """The task was revoked, has expired or was terminated."""


class InvalidTaskError(TaskError):
    """The message is no call of a task."""


class SoftTimeLimitExceeded(TaskError):
    """Raised inside a task when its soft time limit ends."""

    def __str__(self) -> str:
        return "SoftTimeLimitExceeded" + repr(self.args)


class TimeLimitExceeded(TaskError):
    """The hard time limit ended and the process that ran the task was killed."""

    def __str__(self) -> str:
        return "TimeLimitExceeded" + repr(self.args)


class WorkerLostError(TaskError):
    """The process that ran the task died."""


class ChordError(TaskError):
    """A task of a chord's header failed."""


class RemoteTaskError(TaskError):
    """A remote failure whose class is not known here: `type_name` and the text stand for it.

    `module` is the part of `type_name` that names the module, "" when it is not known.
    """

    def __init__(self, type_name: str, *args: Any, module: str = "") -> None:
        super().__init__(type_name, *args)
        self.type_name = type_name
        self.module = module


class BackendError(EngineError):
    """A stored result cannot be read or written."""


class IncompleteStream(EngineError):
    """A result whose dependencies were walked has not ended yet."""


class SecurityError(EngineError):
    """Refused because it is unsafe."""


class AlwaysEagerIgnored(UserWarning):
    """`send_task` sends although `task_always_eager` is on."""


class DuplicateTaskNameWarning(UserWarning):
    """Two different functions claim one task name; the first is kept."""


class DuplicateNodenameWarning(UserWarning):
    """Two workers answered under one node name."""


class Directive(Exception):
    """Base of what a task raises to steer its own run; never an error."""


class Ignore(Directive):
    """Store no state and send no success event; the message is acknowledged."""


class Replaced(Ignore):
    """The run's place is taken by a workflow, which goes on under its id.

    `publications` are the messages that begin it: they leave in the trip that settles the run.
    """

    def __init__(self, sig: Any = None, publications: tuple[Any, ...] = ()) -> None:
        super().__init__("Replaced by new task")
        self.sig = sig
        self.publications = publications


class Reject(Directive):
    """Hand the message back (`requeue=True`) or to the dead letters."""

    def __init__(self, reason: Any = None, requeue: bool = False) -> None:
        super().__init__(reason, requeue)
        self.reason = reason
        self.requeue = requeue

    def __repr__(self) -> str:
        return f"reject requeue={self.requeue}: {self.reason}"


class Retry(Directive):
    """The task is to run again.

    `exc` is the cause, `when` the delay in seconds or the instant (datetime) of the next run.
    """

    def __init__(
        self,
        message: str | None = None,
        exc: BaseException | None = None,
        when: Any = None,
        is_eager: bool = False,
        sig: Any = None,
    ) -> None:
        super().__init__(message, exc, when)
        self.message = message
        self.exc = exc
        self.when = when
        self.is_eager = is_eager
        self.sig = sig

    def humanize(self) -> str:
        """Return the delay in words, as Celery's log line has it."""
        if isinstance(self.when, int | float):
            return f"in {self.when}s"
        return f"at {self.when}"

    def __str__(self) -> str:
        if self.message:
            return self.message
        if self.exc is not None:
            return f"Retry {self.humanize()}: {self.exc!r}"
        return f"Retry {self.humanize()}"
