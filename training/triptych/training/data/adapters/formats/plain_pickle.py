"""Read arrays, strings and numbers from an untrusted pickle without running any of its code.

A pickle can do harm because it names functions and calls them. Here the few names that arrays need are replaced with
stand-ins, and any other name is rejected. NumPy gets only bytes whose dtype and length have been checked.
"""

from __future__ import annotations

import math
import pickle  # only its parser is used, with every name replaced
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from triptych.schemas.errors import UsageError

_DTYPE: Final = re.compile(r"[<>|=]?(?:[biuf][1248]|[SU]\d{1,7}|b1|O8?)")
_MAX_DEPTH: Final = 64


class UnsafePickleError(pickle.UnpicklingError):
    """The pickle contains something other than plain data."""


class _Dtype:
    """Stands in for `numpy.dtype`."""

    __slots__ = ("code", "order")

    def __init__(self, code: str) -> None:
        self.code, self.order = code, "="

    def __setstate__(self, state: object) -> None:
        if not (isinstance(state, tuple) and len(state) > 1 and state[1] in {"<", ">", "|", "="}):
            raise UnsafePickleError(f"expected the state of a plain dtype, got {state!r:.100}")
        self.order = state[1]

    def dtype(self) -> np.dtype[Any]:
        dtype = np.dtype(self.code)
        return dtype if self.order == "|" else dtype.newbyteorder(self.order)  # type: ignore[arg-type]


class _Array:
    """Stands in for `numpy.ndarray` while the pickle is being read."""

    __slots__ = ("content",)

    def __init__(self) -> None:
        self.content: NDArray[Any] | tuple[tuple[int, ...], list[object]] | None = None

    def __setstate__(self, state: object) -> None:
        if not (isinstance(state, tuple) and len(state) == 5):  # noqa: PLR2004 - version, shape, type, order, data
            raise UnsafePickleError(f"expected the state of an array, got {state!r:.100}")
        _, shape, dtype, is_fortran, data = state
        self.content = _content(shape, dtype, data, order="F" if is_fortran else "C")


def _content(shape: object, dtype: object, data: object, *, order: str) -> Any:  # noqa: ANN401 - as `_Array.content`
    if not (isinstance(shape, tuple) and all(isinstance(size, int) and size >= 0 for size in shape)):
        raise UnsafePickleError(f"expected the shape of an array, got {shape!r:.100}")
    if not isinstance(dtype, _Dtype):
        raise UnsafePickleError(f"expected a plain dtype, got {dtype!r:.100}")
    count = math.prod(shape)
    if dtype.code.startswith("O"):
        if not (isinstance(data, list) and len(data) == count):
            raise UnsafePickleError(f"expected a list of {count} objects")
        return shape, data
    if isinstance(data, str):
        data = data.encode("latin-1")  # how Python 2's bytes arrive
    plain = dtype.dtype()
    if not isinstance(data, bytes | bytearray) or len(data) != count * plain.itemsize:
        raise UnsafePickleError(f"expected {count * plain.itemsize} bytes for an array {shape}")
    return np.frombuffer(data, plain).reshape(shape, order=order)  # type: ignore[call-overload]


class _Name:
    """Stands in for a name in a pickle. It can be called, and nothing else."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[..., object]) -> None:
        self._call = call

    def __call__(self, *arguments: object) -> object:
        return self._call(*arguments)

    def __setstate__(self, state: object) -> None:
        raise UnsafePickleError("expected plain data, got an attempt to change a function")


def _new_dtype(code: object, *_: object) -> _Dtype:
    if not (isinstance(code, str) and _DTYPE.fullmatch(code)):
        raise UnsafePickleError(f"expected a plain dtype, got {code!r:.100}")
    return _Dtype(code)


def _new_array(*_: object) -> _Array:
    return _Array()


def _from_buffer(data: object, dtype: object, shape: object, order: object) -> _Array:
    array = _Array()
    array.content = _content(shape, dtype, data, order="F" if order == "F" else "C")
    return array


def _scalar(dtype: object, data: object) -> object:
    return _content((1,), dtype, data, order="C")[0].item()


def _encoded(text: object, encoding: object = "latin-1") -> bytes:
    if not isinstance(text, str) or encoding not in {"latin-1", "latin1"}:
        raise UnsafePickleError("expected bytes encoded as latin-1")
    return text.encode("latin-1")


def _refused(*_: object) -> object:
    raise UnsafePickleError("expected numpy.ndarray as an argument only, got a call")


_CALLS: Final[Mapping[tuple[str, str], Callable[..., object]]] = {
    ("numpy", "dtype"): _new_dtype,
    ("numpy", "ndarray"): _refused,  # named as an argument, never called
    ("numpy.core.multiarray", "_reconstruct"): _new_array,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy.core.numeric", "_frombuffer"): _from_buffer,
    ("_codecs", "encode"): _encoded,
    ("collections", "OrderedDict"): dict,
}


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401 - as in the base class
        call = _CALLS.get((module.replace("numpy._core.", "numpy.core."), name))  # NumPy 2's name for it
        if call is None:
            raise UnsafePickleError(f"expected plain data, got {module}.{name}")
        return _Name(call)


def read_plain_pickle(file: Path) -> object:
    """Return the content of a pickle: dicts, lists, tuples, numbers, strings, bytes, and arrays of these.

    An array of objects becomes a list. Arrays are read-only.

    Raises:
        UsageError: it contains anything else, or is no pickle.
    """
    try:
        with file.open("rb") as stream:
            return _plain(_PlainUnpickler(stream, encoding="latin-1").load(), {}, 0)
    except OSError as error:
        raise UsageError(f"{file}: expected a pickle of arrays, got: {error.strerror}") from error
    except Exception as error:  # a broken or hostile pickle can raise anything
        raise UsageError(f"{file}: expected a pickle of plain data and arrays, got: {error}") from error


def _plain(value: object, seen: dict[int, object], depth: int) -> object:
    """Return the value with arrays instead of stand-ins. Shared references stay shared."""
    if depth > _MAX_DEPTH:
        raise UnsafePickleError(f"expected plain data, got more than {_MAX_DEPTH} levels of nesting")
    if id(value) in seen:
        return seen[id(value)]
    result = value
    if isinstance(value, dict):
        result = {_plain(key, seen, depth + 1): _plain(item, seen, depth + 1) for key, item in value.items()}
    elif isinstance(value, list):
        result = [_plain(item, seen, depth + 1) for item in value]
    elif isinstance(value, tuple):
        result = tuple(_plain(item, seen, depth + 1) for item in value)
    elif isinstance(value, _Array):
        content = value.content
        result = _nested(*content, seen, depth) if isinstance(content, tuple) else content
    elif not isinstance(value, str | bytes | bytearray | int | float | bool | None):
        raise UnsafePickleError(f"expected plain data, got {type(value).__name__.strip('_')}")
    if isinstance(value, dict | list | tuple | _Array):
        seen[id(value)] = result
    return result


def _nested(shape: tuple[int, ...], items: list[object], seen: dict[int, object], depth: int) -> object:
    plain = [_plain(item, seen, depth + 1) for item in items]
    for size in reversed(shape[1:]):
        plain = [plain[start : start + size] for start in range(0, len(plain), size)] if size else []
    return plain
