"""Pydantic models as arguments and result of a task: `@app.task(pydantic=True)`.

On the wire they are plain values. The caller's models are dumped when the call is sent, the
function gets what its annotations name, and a model it returns is dumped again. pydantic is no
dependency: it is imported when a task asks for it.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from tqconsole.engine.exceptions import ImproperlyConfigured

#: Options of the decorator that are for this module.
OPTIONS = ("pydantic", "pydantic_strict", "pydantic_context", "pydantic_dump_kwargs")


class _Place(NamedTuple):
    """Where a model stands: `Order`, or `Order | None`."""

    model: Any
    is_optional: bool


class Models:
    """The models among a function's parameters, and its result's."""

    def __init__(
        self,
        app: Any,
        name: str,
        function: Callable[..., Any],
        options: Mapping[str, Any],
        *,
        is_bound: bool,
    ) -> None:
        """Read the annotations. Raises: ImproperlyConfigured without pydantic."""
        self._base = _base_model(name)
        self._function = function
        self._is_strict = bool(options.get("pydantic_strict"))
        self._context = {
            **(options.get("pydantic_context") or {}),
            "celery_app": app,
            "celery_task_name": name,
        }
        self._dump_options = {"mode": "json", **(options.get("pydantic_dump_kwargs") or {})}
        self._signature = inspect.signature(function)
        hints = _hints_of(function)
        self._places = {
            parameter.name: place
            for parameter in self._signature.parameters.values()
            if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
            and (place := self._place(hints.get(parameter.name, parameter.annotation)))
        }
        self._result = self._place(hints.get("return", self._signature.return_annotation))
        positional = [
            parameter.name
            for parameter in self._signature.parameters.values()
            if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        ]
        self._positional = positional[1:] if is_bound else positional

    def wrapped(self) -> Callable[..., Any]:
        """Return the function as a run calls it: plain values in, plain values out.

        What does not fit a model is pydantic's ValidationError, and so the run's failure.
        """

        @functools.wraps(self._function)
        def run(*args: Any, **kwargs: Any) -> Any:
            bound = self._signature.bind(*args, **kwargs)
            given = bound.arguments
            for name, place in self._places.items():
                if name in given and not (given[name] is None and place.is_optional):
                    given[name] = self._validated(place.model, given[name])
            value = self._function(*bound.args, **bound.kwargs)
            if self._result is not None and isinstance(value, self._result.model):
                return value.model_dump(**self._dump_options)
            return value

        return run

    def dumped(
        self, args: Sequence[Any] | None, kwargs: Mapping[str, Any] | None
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return a call's arguments with the models that the function will get back dumped."""
        names = self._positional
        given = tuple(args or ())
        known = (*names[: len(given)], *[""] * (len(given) - len(names)))
        return (
            tuple(self._dumped(name, value) for name, value in zip(known, given, strict=True)),
            {name: self._dumped(name, value) for name, value in (kwargs or {}).items()},
        )

    def _dumped(self, name: str, value: Any) -> Any:
        place = self._places.get(name)
        # A model with kombu's __json__ knows itself how to be sent.
        if place is None or not isinstance(value, self._base) or hasattr(value, "__json__"):
            return value
        try:
            plain = value.model_dump(**self._dump_options)
            is_same = self._validated(place.model, plain) == value
        except Exception:  # noqa: BLE001 - the model's own code: what it cannot do here, it may there
            return value
        # One that would come back as another value is left to the serializer, which refuses it.
        return plain if is_same else value

    def _validated(self, model: Any, value: Any) -> Any:
        return model.model_validate(value, strict=self._is_strict, context=self._context)

    def _place(self, annotation: Any) -> _Place | None:
        is_optional = False
        if typing.get_origin(annotation) in (typing.Union, types.UnionType):
            kinds = [kind for kind in typing.get_args(annotation) if kind is not type(None)]
            is_optional = len(kinds) < len(typing.get_args(annotation))
            annotation = kinds[0] if len(kinds) == 1 and is_optional else None
        if isinstance(annotation, type) and issubclass(annotation, self._base):
            return _Place(annotation, is_optional)
        return None


def _base_model(name: str) -> Any:
    try:
        return importlib.import_module("pydantic").BaseModel
    except ModuleNotFoundError:
        raise ImproperlyConfigured(
            f"task {name} is declared with pydantic=True, but pydantic is not installed"
        ) from None


def _hints_of(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the annotations as types; none where a name in them is not known (yet)."""
    try:
        return typing.get_type_hints(function)
    except (NameError, AttributeError, TypeError):
        return {}
