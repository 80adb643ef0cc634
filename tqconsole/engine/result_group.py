"""The result of a group: results under one id, which can be saved and restored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tqconsole.engine import current, serialization
from tqconsole.engine.exceptions import BackendError, RefusedError
from tqconsole.engine.protocol.chord import group_key
from tqconsole.engine.protocol.limits import DEFAULT_LIMITS
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.payload import decoded_payload
from tqconsole.engine.result_async import result_from_tuple
from tqconsole.engine.result_graph import DependencyGraph
from tqconsole.engine.result_set import ResultSet


class GroupResult(ResultSet):
    """The result of a group: results under one id, which can be saved and restored."""

    #: The app of a class that an app made: `app.GroupResult`.
    home: Any = None

    def __init__(
        self,
        id: str | None = None,
        results: Sequence[Any] | None = None,
        parent: Any = None,
        app: Any = None,
    ) -> None:
        super().__init__(results, app or self.home)
        self.id = id
        self.parent = parent

    @property
    def children(self) -> list[Any]:
        """The results in it."""
        return self.results

    def save(self, backend: Any = None) -> None:
        """Store which results they are, for the time results are kept."""
        app = self.app
        data = serialization.encode({"result": self.as_tuple()}, app.conf.result_serializer)[2]
        store = backend or app.backend
        store.put(group_key(str(self.id)), data, app.conf.seconds("result_expires"))

    def delete(self, backend: Any = None) -> None:
        """Delete what `save` stored."""
        (backend or self.app.backend).delete([group_key(str(self.id))])

    @classmethod
    def restore(cls, id: str, backend: Any = None, app: Any = None) -> Any:
        """Return the group that was saved under an id, None when there is none.

        Raises: BackendError when what is stored cannot be read.
        """
        home = current.app_or_default(app or cls.home)
        data = (backend or home.backend).get(group_key(id))
        if data is None:
            return None
        message = Message(data, home.result_content_type)
        try:
            stored = decoded_payload(message, home.result_accept, DEFAULT_LIMITS)
            return result_from_tuple(stored["result"], home)
        except (RefusedError, TypeError, KeyError, ValueError) as error:
            raise BackendError(f"The stored group {id} cannot be read: {error}") from error

    def build_graph(self, intermediate: bool = False, formatter: Any = None) -> DependencyGraph:
        """Return what its members have brought about as a graph of results."""
        graph = DependencyGraph(formatter)
        for member in self.results:
            graph.add_edge(self, member)
            for node, children in member.build_graph(intermediate).items():
                for child in children:
                    graph.add_edge(node, child)
        return graph

    @property
    def graph(self) -> DependencyGraph:
        """What its members have brought about, as far as that has ended."""
        return self.build_graph(intermediate=True)

    def get_leaf(self) -> Any:
        """Return its values: nothing comes after a group."""
        return self.get()

    def as_tuple(self) -> tuple[Any, list[Any]]:
        """Return it as Celery's result tuple (wire.md §4.1)."""
        before = self.parent.as_tuple() if self.parent is not None else None
        return (self.id, before), [result.as_tuple() for result in self.results]

    def as_list(self) -> list[Any]:
        """Return the ids in it."""
        return [result.id for result in self.results]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, GroupResult):
            return (other.id, other.results, other.parent) == (self.id, self.results, self.parent)
        return other == self.id if isinstance(other, str) else NotImplemented

    def __hash__(self) -> int:  # type: ignore[override]  # an id, unlike a set, does not change
        return hash(self.id)

    def __bool__(self) -> bool:
        return bool(self.id or self.results)

    def __str__(self) -> str:
        return str(self.id)

    def __repr__(self) -> str:
        ids = ", ".join(str(result.id) for result in self.results)
        return f"<{type(self).__name__}: {self.id} [{ids}]>"

    def __reduce__(self) -> Any:
        return GroupResult, (self.id, self.results, self.parent)
