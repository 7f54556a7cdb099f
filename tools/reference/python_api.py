"""The page of the public Python API, written from signatures and docstrings."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any, Final

from pydantic import BaseModel

from tools.reference.markdown import code, escaped, one_line, table
from tools.reference.settings import docstrings

_HEAD = """# Python API

The public names for programs of your own. Everything else may change without notice. Guides with examples:
[subscribing](../subscribing.md), [rules](../rules.md), [the wire contract](../contract.md), [models](../models.md).
"""

_SECTIONS: Final = {
    "Subscribing": (
        "triptych.consumers",
        ("Subscriber", "AsyncSubscriber", "DescriptionSubscriber", "Rule"),
        "`from triptych.consumers import Subscriber, AsyncSubscriber, Rule, Result`, … (extra `consumers`).",
    ),
    "Subscriptions": (
        "triptych.consumers.subscription.subscriber",
        ("Results", "Delivery", "Counts"),
        "What `Subscriber.results()` returns; it is not constructed directly.",
    ),
    "Results": ("triptych.schemas.results", None, "The result of one window and its parts (no extra)."),
    "Descriptions": (
        "triptych.schemas.perception.descriptions",
        None,
        "What a vision-language model wrote about a window, and its parts (no extra).",
    ),
    "Models": ("triptych.models.model", None, "What a model implements to be run by the worker (extra `worker`)."),
}
_HEADING: Final = re.compile(r"^(Args|Returns|Raises|Yields):$")


def page() -> str:
    """Return the page."""
    parts = [_HEAD.rstrip()]
    for title, (module_name, names, intro) in _SECTIONS.items():
        module = import_module(module_name)
        chosen = names or [name for name, one in vars(module).items() if _is_own_class(one, module_name)]
        parts += [f"## {title}", f"Module `{module_name}`. {intro}"]
        parts += [_class(getattr(module, name)) for name in chosen]
    return "\n\n".join(parts)


def prose(docstring: str | None) -> str:
    """Return a Google-style docstring as Markdown: its sections become lists."""
    lines: list[str] = []
    in_section = False
    for line in inspect.cleandoc(docstring or "").splitlines():
        heading = _HEADING.match(line)
        if heading:
            in_section = True
            lines += [f"**{heading[1]}**", ""]
        elif in_section and (item := re.match(r"    (\*{0,2}\w+): (.*)", line)):
            lines.append(f"- `{item[1]}`: {escaped(item[2])}")
        elif in_section and line.startswith("    "):
            lines.append(f"  {escaped(line.strip())}" if lines[-1].startswith(("- ", "  ")) else escaped(line.strip()))
        elif line.startswith("    "):
            lines.append(line)
        else:
            in_section = in_section and not line
            lines.append(escaped(line))
    return "\n".join(lines).strip()


def _is_own_class(one: object, module: str) -> bool:
    return inspect.isclass(one) and one.__module__ == module and not one.__name__.startswith("_")


def _class(cls: type[Any]) -> str:
    parts = [f"### {cls.__name__}"]
    has_fields = issubclass(cls, BaseModel) or dataclasses.is_dataclass(cls)
    is_built = not has_fields and "__init__" in vars(cls) and not getattr(cls, "_is_protocol", False)
    if is_built and cls.__name__ != "Results":
        parts.append(_signature(cls.__name__, cls.__init__, is_class=True))
    parts.append(prose(cls.__doc__))
    if is_built:
        parts.append(prose(cls.__init__.__doc__))
    if has_fields:
        parts.append(_fields(cls))
    for name, member in _public_members(cls):
        if isinstance(member, property):
            parts += [f"#### {cls.__name__}.{name}", prose(member.__doc__)]
        else:
            parts += [f"#### {cls.__name__}.{name}()", _signature(name, member), prose(member.__doc__)]
    return "\n\n".join(part for part in parts if part)


def _fields(cls: type[Any]) -> str:
    names = cls.model_fields if issubclass(cls, BaseModel) else [one.name for one in dataclasses.fields(cls)]
    meanings = docstrings(cls)
    types = {name: code(_annotation(inspect.get_annotations(_owner(cls, name))[name])) for name in names}
    if not meanings:
        return table(["field", "type"], [(code(name), types[name]) for name in names])
    rows = [(code(name), types[name], one_line(meanings.get(name, ""))) for name in names]
    return table(["field", "type", "meaning"], rows)


def _owner(cls: type[Any], name: str) -> type[Any]:
    return next(base for base in cls.__mro__ if name in inspect.get_annotations(base))


def _annotation(annotation: object) -> str:
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    return text.replace("typing.", "").replace("collections.abc.", "")


def _public_members(cls: type[Any]) -> Iterator[tuple[str, Any]]:
    for name, member in vars(cls).items():
        if name.startswith("_") or name == "model_config":
            continue
        if isinstance(member, (classmethod, staticmethod)):
            yield name, member.__func__
        elif inspect.isfunction(member) or isinstance(member, property):
            yield name, member


@dataclasses.dataclass(frozen=True)
class _Annotation:
    """An annotation that is shown as it is written: without quotes."""

    text: str

    def __repr__(self) -> str:
        return self.text


def _signature(name: str, function: Callable[..., Any], *, is_class: bool = False) -> str:
    signature = inspect.signature(function)
    given = [one for one in signature.parameters.values() if one.name not in {"self", "cls"}]
    given = [
        one if one.annotation is one.empty else one.replace(annotation=_Annotation(_annotation(one.annotation)))
        for one in given
    ]
    returns = signature.return_annotation
    if returns is not signature.empty:
        returns = _Annotation(_annotation(returns))
    shown = str(signature.replace(parameters=given, return_annotation=returns))
    if is_class:
        return f"```python\n{name}{shown.removesuffix(' -> None')}\n```"
    prefix = "async def" if inspect.iscoroutinefunction(function) else "def"
    return f"```python\n{prefix} {name}{shown}\n```"
