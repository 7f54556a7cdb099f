"""The page of all settings: section, name, type, bounds, default and docstring."""

from __future__ import annotations

import ast
import inspect
import json
import textwrap
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from tools.reference.markdown import code, one_line, table
from triptych.settings.section import Section
from triptych.settings.tree import Settings

_HEAD = """# Settings

Every setting, by section. Set one with an environment variable named `TRIPTYCH_<SECTION>_<NAME>`
(`TRIPTYCH_KAFKA_BOOTSTRAP_SERVERS`), in a TOML file that `--config` or `TRIPTYCH_CONFIG` names, or, where a command has
one, with a flag. A flag takes precedence over a variable, a variable over the file, and the file over the default. An
unknown name is an error. `triptych config` prints the settings in effect.
"""

_BOUNDS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<", "min_length": "length >=", "max_length": "length <="}


def page() -> str:
    """Return the page."""
    own = [(name, field) for name, field in Settings.model_fields.items() if not _is_section(field)]
    parts = [_HEAD.rstrip()]
    if own:
        parts += ["## Without a section", _table(Settings, dict(own))]
    for name, section in sections():
        parts += [f"## {name}", " ".join((section.__doc__ or "").split()), _table(section, section.model_fields)]
    return "\n\n".join(parts)


def sections() -> Iterator[tuple[str, type[Section]]]:
    """Iterate over the sections of the settings."""
    for name, field in Settings.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield name, field.annotation


def docstrings(model: type[Any]) -> dict[str, str]:
    """Return the docstrings that stand below the fields of a class of ours and of its bases, by field."""
    found: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if not base.__module__.startswith("triptych."):
            continue
        (node,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        body = node.body if isinstance(node, ast.ClassDef) else []
        for pair in pairwise(body):
            match pair:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                    found[name] = text
    return found


def _is_section(field: FieldInfo) -> bool:
    return isinstance(field.annotation, type) and issubclass(field.annotation, Section)


def _table(model: type[BaseModel], fields: dict[str, FieldInfo]) -> str:
    meanings = docstrings(model)
    rows = [
        (code(name), one_line(_type(field.annotation)), _bounds(field), code(_default(field)), one_line(meanings[name]))
        for name, field in fields.items()
    ]
    return table(["name", "type", "bounds", "default", "meaning"], rows)


def _type(annotation: Any) -> str:  # noqa: ANN401 - any type that a field may have
    origin = get_origin(annotation)
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in get_args(annotation))
    if origin in {Union, UnionType}:
        return " or ".join(_type(one) for one in get_args(annotation) if one is not NoneType)
    if origin is not None and get_args(annotation):
        inner = [one for one in get_args(annotation) if one is not Ellipsis]
        if hasattr(annotation, "__metadata__"):
            return _type(inner[0])
        return f"{getattr(origin, '__name__', origin)} of {', '.join(dict.fromkeys(map(_type, inner)))}"
    names = {Path: "path", SecretStr: "secret", str: "text", int: "integer", float: "number", bool: "boolean"}
    return names.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _bounds(field: FieldInfo) -> str:
    found = []
    metadata = list(field.metadata)
    for inner in get_args(field.annotation):
        metadata += list(getattr(inner, "__metadata__", ()))
    for one in metadata:
        parts = getattr(one, "metadata", None) or [one]  # a Field within Annotated holds its bounds in a list
        for part in parts:
            found += [
                f"{sign} {getattr(part, name):,}"
                for name, sign in _BOUNDS.items()
                if getattr(part, name, None) is not None
            ]
    return code(", ".join(dict.fromkeys(found)))


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is None:
        return ""
    return json.dumps(
        value if isinstance(value, (str, int, float, bool, list, tuple)) else str(value), ensure_ascii=False
    )
