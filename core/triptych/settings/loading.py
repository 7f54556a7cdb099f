"""Loading of settings from flags, environment variables and a TOML file, and their output as TOML.

Flags take precedence over environment variables (`TRIPTYCH_<SECTION>_<FIELD>`), which take precedence over the TOML
file (`--config`, or the variable `TRIPTYCH_CONFIG`), which takes precedence over the defaults in the code. Unknown
names are errors, so that a misspelt setting is never ignored. No other module reads settings from the environment.
"""

from __future__ import annotations

import difflib
import json
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import BaseModel, SecretStr, ValidationError

from triptych.settings.section import Section, SettingsError
from triptych.settings.tree import Settings
from triptych.settings.url_passwords import without_password

PREFIX = "TRIPTYCH_"

CONFIG_VARIABLE = "TRIPTYCH_CONFIG"

OTHER_VARIABLES = frozenset({CONFIG_VARIABLE, "TRIPTYCH_CACHE", "TRIPTYCH_REQUIRE_SERVERS"})
"""Variables with our prefix that are not settings: the settings file, the cache of weights, and a switch for tests."""

SECRET_PATHS = frozenset(
    {
        *("redis.url", "page.index", "kafka.password", "mqtt.password"),
        *("http.token", "produce_http.token", "describe.key", "describe_http.token"),
    }
)
"""Settings that are or may contain a secret. Their values are never printed."""


def load(
    config: Path | None = None,
    overrides: Mapping[str, object] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Load the settings.

    Args:
        config: TOML file. By default the one named by `TRIPTYCH_CONFIG`, if any.
        overrides: values of flags by dotted path (`kafka.bootstrap_servers`). None means that a flag was not given.
        environ: environment variables. By default those of the process.

    Raises:
        SettingsError: a name is unknown, a value is invalid, or the file cannot be read.
    """
    environ = os.environ if environ is None else environ
    if config is None and environ.get(CONFIG_VARIABLE):
        config = Path(environ[CONFIG_VARIABLE])
    values: dict[str, tuple[object, str]] = {}  # dotted path -> value, source
    problems: list[str] = []
    for path, value, origin in (*_from_file(config), *_from_environment(environ), *_from_flags(overrides or {})):
        if path in _PATHS:
            values[path] = (value, origin)
        else:
            problems.append(f"{origin}: no such setting{_nearest(path, origin)}")
    try:
        settings = Settings.model_validate(_tree({path: value for path, (value, _) in values.items()}))
    except ValidationError as error:
        problems += _explained(error, {path: origin for path, (_, origin) in values.items()})
    if problems:
        raise SettingsError("\n".join(problems))
    return settings


def to_toml(settings: Settings) -> str:
    """Return the settings as the text of a TOML file that `load` accepts, with secrets left out."""
    lines: list[str] = []
    for name, value in settings:
        if not isinstance(value, Section):
            lines.append(_toml_line(name, name, value))
            continue
        lines += ["", f"[{name}]", *(_toml_line(field, f"{name}.{field}", inner) for field, inner in value)]
    return "\n".join(lines) + "\n"


def _paths(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield from _paths(field.annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


_PATHS = frozenset(_paths(Settings))

_SECTIONS = frozenset(path.partition(".")[0] for path in _PATHS if "." in path)

_VARIABLES = {PREFIX + path.replace(".", "_").upper(): path for path in _PATHS}


def _from_file(config: Path | None) -> Iterator[tuple[str, object, str]]:
    if config is None:
        return
    try:
        tree = tomllib.loads(config.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{config}: expected a readable TOML file, got: {error}") from error
    for name, value in tree.items():
        if isinstance(value, dict) and name in _SECTIONS:
            yield from ((f"{name}.{field}", inner, f"{config}: {name}.{field}") for field, inner in value.items())
        else:
            yield name, value, f"{config}: {name}"


def _from_environment(environ: Mapping[str, str]) -> Iterator[tuple[str, object, str]]:
    for variable, value in sorted(environ.items()):
        if variable.startswith(PREFIX) and variable not in OTHER_VARIABLES:
            yield _VARIABLES.get(variable, variable), value, variable


def _from_flags(overrides: Mapping[str, object]) -> Iterator[tuple[str, object, str]]:
    for path, value in overrides.items():
        if path not in _PATHS:
            raise KeyError(path)  # a programming error, not a mistake of the user
        if value is not None:
            yield path, value, f"the flag for {path}"


def _nearest(path: str, origin: str) -> str:
    known = _VARIABLES if path == origin else _PATHS | _SECTIONS
    close = difflib.get_close_matches(path, known, n=1)
    return f"; did you mean {close[0]}?" if close else "; `triptych config` prints all settings"


def _tree(values: Mapping[str, object]) -> dict[str, object]:
    tree: dict[str, object] = {}
    for path, value in values.items():
        section, _, field = path.rpartition(".")
        if section:
            inner = tree.setdefault(section, {})
            assert isinstance(inner, dict)  # noqa: S101 - no section has the name of a field
            inner[field] = value
        else:
            tree[field] = value
    return tree


def _explained(error: ValidationError, origins: Mapping[str, str]) -> Iterator[str]:
    for problem in error.errors(include_url=False):
        path = ".".join(str(part) for part in problem["loc"])
        what = problem["msg"].removeprefix("Value error, ")
        came = "" if path in SECRET_PATHS or problem["type"] == "value_error" else f", got {problem['input']!r}"
        origin = origins.get(path) or ", ".join(o for p, o in origins.items() if p.startswith(f"{path}."))
        yield f"{origin}: {what[:1].lower()}{what[1:]}{came}"


def _toml_line(name: str, path: str, value: object) -> str:
    if value is None:
        return f"# {name} is not set"
    if isinstance(value, SecretStr):
        return f"# {name} is set, and not printed"
    if path in SECRET_PATHS:
        value = without_password(str(value))
    if isinstance(value, Path):
        value = str(value)
    return f"{name} = {json.dumps(value, ensure_ascii=False)}"
