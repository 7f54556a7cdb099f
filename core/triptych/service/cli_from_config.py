"""Typer commands whose parameters are the fields of a dataclass.

A field's annotation says how the command line shows it, so that name, type, default and help stand in one place:

    @dataclass(frozen=True)
    class CopyOptions:
        source: Annotated[Path, typer.Argument(help="The file to copy.")]
        retries: Annotated[int, typer.Option(min=0, help="Retries after a failure.")] = 3
        mode: Annotated[Literal["text", "binary"], typer.Option(help="How to read the file.")] = "text"

    @command_from(CopyOptions)
    def copy(options: CopyOptions) -> None: ...

A field whose type is a dataclass contributes its own fields.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from typer.models import ArgumentInfo, OptionInfo

from triptych.schemas.errors import UsageError

Options = TypeVar("Options")


@dataclass(frozen=True, slots=True)
class ReadAs:
    """Tell how Typer reads a field whose type Typer does not know. Part of the field's `Annotated` type.

    Attributes:
        annotation: type of the command's parameter, such as `list[str] | None`. Its default is None.
        convert: returns the field's value. Not called when the option is absent: the field's own default holds.
    """

    annotation: Any
    convert: Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class _CliField:
    """A field with its annotation taken apart."""

    field: Field[Any]
    kind: Any
    info: ArgumentInfo | OptionInfo
    read_as: ReadAs | None

    @property
    def choices(self) -> tuple[str, ...]:
        """Return the values of a `Literal` type, or nothing."""
        return get_args(self.kind) if get_origin(self.kind) is Literal else ()

    @property
    def flag(self) -> str:
        """Return the option's first flag."""
        declared = self.info.default  # in an annotation, Typer keeps the first flag here
        return declared if isinstance(declared, str) else f"--{self.field.name.replace('_', '-')}"

    def parameter(self) -> inspect.Parameter:
        """Return the command's parameter."""
        default = inspect.Parameter.empty
        if self.read_as is not None:
            default = None  # type: ignore[assignment]  # `Parameter.empty` is typed as a class
        elif self.field.default is not MISSING:
            default = self.field.default
        elif self.field.default_factory is not MISSING:
            default = self.field.default_factory()
        return inspect.Parameter(
            self.field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=self._annotation()
        )

    def value(self, given: Any) -> Any:  # noqa: ANN401 - whatever the field holds
        """Return the field's value, or `MISSING` where its default holds.

        Raises:
            UsageError: the value is not one of the field's choices.
        """
        if self.read_as is not None:
            return self.read_as.convert(given) if given else MISSING
        if self.choices and given not in self.choices:
            raise UsageError(f"{self.flag}: expected {one_of(self.choices)}, got {given!r}")
        return given

    def _annotation(self) -> Any:  # noqa: ANN401 - a type
        if self.choices and self.info.metavar is None:
            self.info.metavar = "|".join(self.choices)
        kind = str if self.choices else self.kind
        return Annotated[kind if self.read_as is None else self.read_as.annotation, self.info]


def one_of(choices: Sequence[str]) -> str:
    """Return the choices as an enumeration for an error message: `a, b or c`."""
    *others, last = choices
    return f"{', '.join(others)} or {last}" if others else last


def command_from(options: type[Options]) -> Callable[[Callable[[Options], None]], Callable[..., None]]:
    """Return a decorator that makes a Typer command of a function with one parameter, an instance of a dataclass.

    Args:
        options: a dataclass. Each field is annotated with `typer.Option` or `typer.Argument`, or is itself a dataclass.

    Raises:
        TypeError: a field has neither, or two fields have the same name.
    """
    parameters = [cli_field.parameter() for cli_field in _flattened(options)]
    names = [parameter.name for parameter in parameters]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise TypeError(f"{options.__name__}: expected each field's name once, got twice: {', '.join(repeated)}")

    def decorate(run: Callable[[Options], None]) -> Callable[..., None]:
        def command(**given: Any) -> None:  # noqa: ANN401 - of the fields' types
            run(_instance(options, given))

        command.__name__, command.__qualname__ = run.__name__, run.__qualname__
        command.__doc__, command.__module__ = run.__doc__, run.__module__
        command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # read by `inspect`
        return command

    return decorate


def _flattened(options: type[Any]) -> Iterator[_CliField]:
    for field, hint in _annotated_fields(options):
        if is_dataclass(hint):
            yield from _flattened(hint)  # type: ignore[arg-type]  # a class, as fields are annotated with classes
        else:
            yield _cli_field(options, field, hint)


def _annotated_fields(options: type[Any]) -> Iterator[tuple[Field[Any], Any]]:
    hints = get_type_hints(options, include_extras=True)
    return ((field, hints[field.name]) for field in fields(options))


def _cli_field(options: type[Any], field: Field[Any], hint: Any) -> _CliField:  # noqa: ANN401 - a type
    kind, *extras = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    info = next((extra for extra in extras if isinstance(extra, ArgumentInfo | OptionInfo)), None)
    if info is None:
        raise TypeError(f"{options.__name__}.{field.name}: expected an annotation with typer.Option or typer.Argument")
    return _CliField(field, kind, info, next((extra for extra in extras if isinstance(extra, ReadAs)), None))


def _instance(options: type[Options], given: dict[str, Any]) -> Options:
    values: dict[str, Any] = {}
    for field, hint in _annotated_fields(options):
        nested = is_dataclass(hint)
        value = _instance(hint, given) if nested else _cli_field(options, field, hint).value(given[field.name])
        if value is not MISSING:
            values[field.name] = value
    return options(**values)
