"""The number formats that a file of weights can have. Imports no torch, so that a command line can name them."""

from __future__ import annotations

from typing import Literal, get_args

Storage = Literal["fp32", "fp16", "bf16", "int8"]
STORAGES: tuple[Storage, ...] = get_args(Storage)
