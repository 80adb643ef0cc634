"""The one table of broadcast commands: name, arguments, kind, danger and help of each.

Worker, command line, console and `docs/commands.md` are all built from it, so a command is a
function with one decorator and nothing else. Users add their own with Celery's decorators
`control_command` and `inspect_command`. `run_command` is the worker's end: it runs in the worker's
loop and never raises.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, TypeVar

import msgspec

from tqconsole.engine.control.panel import Panel
from tqconsole.engine.exceptions import EngineError

logger = logging.getLogger(__name__)

#: What a handler is: (panel, **arguments) -> a value that JSON can carry.
Handler = Callable[..., Any]
HandlerT = TypeVar("HandlerT", bound=Handler)

#: What a word must be, where Python's own words for it would not help.
_WANTED: dict[Callable[[str], Any], str] = {int: "it is a whole number", float: "it is a number"}


class Kind(StrEnum):
    """`inspect` reads, `control` changes something at the workers."""

    INSPECT = "inspect"
    CONTROL = "control"


class Danger(StrEnum):
    """What a command may cost; the word stands in help, docs and confirmations."""

    #: Reads, or is without consequence.
    NONE = ""
    #: Changes how workers behave until it is taken back or they restart.
    CHANGES = "changes"
    #: Ends runs, children or workers.
    ENDS = "ends"


class Argument(msgspec.Struct, frozen=True):
    """One argument on the command line and in the request. `convert` reads a shell word."""

    name: str
    convert: Callable[[str], Any] = str


class Command(msgspec.Struct, frozen=True):
    """One broadcast command. `variadic` names the argument that takes all remaining words."""

    name: str
    kind: Kind
    handler: Handler
    aliases: tuple[str, ...] = ()
    args: tuple[Argument, ...] = ()
    variadic: str = ""
    danger: Danger = Danger.NONE
    help: str = ""
    signature: str = ""
    is_visible: bool = True
    default_timeout_s: float = 1.0

    @property
    def is_read_only(self) -> bool:
        """True when a read-only caller may send it."""
        return self.kind is Kind.INSPECT and self.danger is Danger.NONE

    def arguments_from(self, words: Sequence[str]) -> dict[str, Any]:
        """Read the words behind the command's name.

        Raises: ValueError naming the signature (too many words) or the word that does not convert.
        """
        found: dict[str, Any] = {}
        for argument, word in zip(self.args, words, strict=False):
            try:
                found[argument.name] = argument.convert(word)
            except ValueError as error:
                wanted = _WANTED.get(argument.convert, str(error))
                raise ValueError(
                    f"{self.name}: {argument.name} cannot be {word!r}: {wanted}"
                ) from error
        rest = list(words[len(self.args) :])
        if self.variadic:
            found[self.variadic] = rest
        elif rest:
            wanted = f"takes {self.signature}" if self.signature else "takes no arguments"
            raise ValueError(f"{self.name} {wanted}; {' '.join(rest)!r} is too much")
        return found

    def missing_from(self, arguments: Mapping[str, Any]) -> list[str]:
        """Return the required arguments that `arguments` does not give (or gives empty)."""
        parameters = list(inspect.signature(self.handler).parameters.values())[1:]
        return [
            parameter.name
            for parameter in parameters
            if parameter.default is parameter.empty
            and parameter.kind is not parameter.VAR_KEYWORD
            and arguments.get(parameter.name, []) in ([], None, "")
        ]

    def acceptable(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments that the handler knows, numbers converted.

        A newer client may send more than we know of; Celery's handlers let that pass as well.
        Raises: ValueError for what is no number where one is wanted: half a slot must not come in.
        """
        first, *rest = inspect.signature(self.handler).parameters.values()
        takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in rest)
        known = {parameter.name for parameter in rest}
        converts = {one.name: one.convert for one in self.args if one.convert in _WANTED}
        return {
            name: self._number(name, converts[name], value) if name in converts else value
            for name, value in arguments.items()
            if (takes_all or name in known) and name != first.name
        }

    def _number(self, name: str, convert: Callable[[Any], Any], value: Any) -> Any:
        if value is None:
            return None
        try:
            number = convert(value)
        except (TypeError, ValueError, OverflowError):
            number = None
        if number is None or (isinstance(value, float) and number != value):
            raise ValueError(f"{name} cannot be {value!r}: {_WANTED[convert]}")
        return number


class CommandTable(Mapping[str, Command]):
    """Commands by name. Looking up an alias works; iteration gives each command's own name once."""

    def __init__(self) -> None:
        self._commands: dict[str, Command] = {}
        self._aliases: dict[str, str] = {}

    def __getitem__(self, name: str) -> Command:
        return self._commands[self._aliases.get(name, name)]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._commands))

    def __len__(self) -> int:
        return len(self._commands)

    def add(self, command: Command) -> None:
        """Put a command in; one of the same name is replaced, as in Celery."""
        self._commands[command.name] = command
        self._aliases.update(dict.fromkeys(command.aliases, command.name))

    def of_kind(self, kind: Kind) -> list[Command]:
        """Return the visible commands of `kind`, sorted by name."""
        return [self[name] for name in self if self[name].kind is kind and self[name].is_visible]

    @property
    def data(self) -> dict[str, Handler]:
        """Name or alias -> handler, as Celery's `Panel.data`."""
        names = {name: command.handler for name, command in self._commands.items()}
        return names | {alias: names[name] for alias, name in self._aliases.items()}

    @property
    def meta(self) -> dict[str, Command]:
        """Name -> command, as Celery's `Panel.meta`."""
        return dict(self._commands)

    def register(self, *functions: HandlerT, **options: Any) -> Any:
        """Register a function, plain or as a decorator with options (Celery's `Panel.register`)."""
        options.setdefault("type", Kind.CONTROL)
        decorate = self._decorator(**options)
        return decorate(*functions) if functions else decorate

    def _decorator(  # noqa: PLR0913 - Celery's options, as users write them
        self,
        *,
        name: str | None = None,
        alias: str | None = None,
        type: str = Kind.CONTROL,  # noqa: A002 - Celery's name
        visible: bool = True,
        default_timeout: float = 1.0,
        help: str | None = None,  # noqa: A002 - Celery's name
        signature: str | None = None,
        args: Sequence[tuple[str, Callable[[str], Any]]] | None = None,
        variadic: str | None = None,
        danger: str = Danger.NONE,
    ) -> Callable[[HandlerT], HandlerT]:
        def register(handler: HandlerT) -> HandlerT:
            summary = (handler.__doc__ or "").strip().split("\n")[0]
            self.add(
                Command(
                    name=name or handler.__name__,
                    kind=Kind(type),
                    handler=handler,
                    aliases=(alias,) if alias else (),
                    args=tuple(Argument(*pair) for pair in args or ()),
                    variadic=variadic or "",
                    danger=Danger(danger),
                    help=help or summary,
                    signature=signature or "",
                    is_visible=visible,
                    default_timeout_s=default_timeout,
                )
            )
            return handler

        return register


#: The table of this process. It is filled while modules are imported (ours by the package's
#: `__init__`, the users' by their own) and only read after that.
COMMANDS = CommandTable()


def control_command(**options: Any) -> Callable[[HandlerT], HandlerT]:
    """Register a command that changes something; options as Celery's (`name alias args ...`)."""
    decorator: Callable[[HandlerT], HandlerT] = COMMANDS.register(type=Kind.CONTROL, **options)
    return decorator


def inspect_command(**options: Any) -> Callable[[HandlerT], HandlerT]:
    """Register a command that reads; options as Celery's (`name alias args signature ...`)."""
    decorator: Callable[[HandlerT], HandlerT] = COMMANDS.register(type=Kind.INSPECT, **options)
    return decorator


def run_command(
    panel: Panel,
    method: str,
    arguments: Mapping[str, Any],
    *,
    table: CommandTable = COMMANDS,
) -> Any:
    """Run one command in the worker's loop and return the reply's value.

    Never raises: an unknown name or an exception becomes `{"error": repr}`, as in Celery.
    """
    command = table.get(method)
    if command is None:
        logger.warning("Control command %r is not known here", method)
        return {"error": repr(KeyError(method))}
    try:
        return command.handler(panel, **command.acceptable(arguments))
    except (EngineError, ValueError) as error:
        logger.warning("Control command %s refused: %s", method, error)
        return {"error": repr(error)}
    except Exception as error:  # whatever a user's command raises: its caller is told, we go on
        logger.exception("Control command %s failed", method)
        return {"error": repr(error)}
