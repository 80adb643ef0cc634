"""What a task knows of the run it is in: `self.request`.

A value with Celery's attribute names, in a file of its own because everything from `current` to
the worker's runner speaks of it. It is read by user code in the process that runs the task.
"""

from __future__ import annotations

from typing import Any

#: What may be passed on to `apply_async` when a run is sent again (retry, replace).
_EXECUTION_FIELDS = (
    "root_id",
    "parent_id",
    "group_index",
    "shadow",
    "chord",
    "chain",
    "expires",
    "retries",
    "reply_to",
    "ignore_result",
    "replaced_task_nesting",
)

#: Keys that brokers add to headers of dead-lettered messages: they describe one delivery only.
_DELIVERY_HEADER_PREFIX = "x-death"


class Context:
    """One run of a task, or (`called_directly`) no run at all.

    Instants are ISO strings as on the wire; `timelimit` is (hard, soft) in seconds. A name that
    is not known here but came as a custom header reads as that header's value.
    """

    #: The user's own `__call__` of the task runs, and has not come to ours yet.
    awaits_call: bool = False
    args: Any = None
    argsrepr: str | None = None
    callbacks: list[Any] | None = None
    called_directly: bool = True
    chain: list[Any] | None = None
    chord: Any = None
    correlation_id: str | None = None
    delivery_info: dict[str, Any] | None = None
    errbacks: list[Any] | None = None
    eta: str | None = None
    expires: str | None = None
    group: str | None = None
    group_index: int | None = None
    headers: dict[str, Any] | None = None
    hostname: str | None = None
    id: str | None = None
    ignore_result: bool | None = False
    is_eager: bool = False
    kwargs: Any = None
    kwargsrepr: str | None = None
    logfile: str | None = None
    loglevel: int | None = None
    origin: str | None = None
    parent_id: str | None = None
    properties: dict[str, Any] | None = None
    replaced_task_nesting: int = 0
    reply_to: str | None = None
    retries: int = 0
    root_id: str | None = None
    shadow: str | None = None
    stamped_headers: list[str] | None = None
    stamps: dict[str, Any] | None = None
    task: str | None = None
    timelimit: tuple[float | None, float | None] | list[float | None] | None = None
    utc: bool = True

    def __init__(self, *fields: dict[str, Any], **more: Any) -> None:
        self._children: list[Any] | None = None
        self.update(*fields, **more)

    def update(self, *fields: dict[str, Any], **more: Any) -> None:
        """Take over these fields."""
        for mapping in fields:
            self.__dict__.update(mapping)
        self.__dict__.update(more)

    def clear(self) -> None:
        """Forget everything."""
        self.__dict__.clear()
        self._children = None

    def get(self, key: str, default: Any = None) -> Any:
        """Return a field, `default` when this run has none of that name."""
        return getattr(self, key, default)

    def __getattr__(self, name: str) -> Any:
        headers = self.__dict__.get("headers")
        if headers and name in headers:
            return headers[name]
        raise AttributeError(f"the request of this run has no {name!r}")

    @property
    def children(self) -> list[Any]:
        """The results of what this run has sent, in order."""
        if self._children is None:
            self._children = []
        return self._children

    @children.setter
    def children(self, results: list[Any]) -> None:
        self._children = results

    @property
    def delivery_tag(self) -> Any:
        """The broker's tag of this delivery, None where the run has none."""
        return (self.delivery_info or {}).get("delivery_tag")

    def add_trail(self, child: Any) -> None:
        """Note the result of something this run has sent."""
        self.children.append(child)

    def as_execution_options(self) -> dict[str, Any]:
        """Return the options of `apply_async` that send this run again as it was."""
        hard_s, soft_s = self.timelimit or (None, None)
        options: dict[str, Any] = {name: getattr(self, name) for name in _EXECUTION_FIELDS}
        options.update(
            task_id=self.id,
            group_id=self.group,
            link=self.callbacks,
            link_error=self.errbacks,
            soft_time_limit=soft_s,
            time_limit=hard_s,
            headers=self._headers_to_keep(),
        )
        if self.stamped_headers:
            options["stamped_headers"] = self.stamped_headers
            options.update(self.stamps or {})
        return options

    def _headers_to_keep(self) -> dict[str, Any]:
        return {
            name: value
            for name, value in (self.headers or {}).items()
            if not name.lower().startswith(_DELIVERY_HEADER_PREFIX)
        }

    def __repr__(self) -> str:
        return f"<Context: {self.__dict__!r}>"
