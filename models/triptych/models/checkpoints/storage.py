"""The storage formats of weights. This module does not import torch, so that command lines can list them."""

from __future__ import annotations

from typing import Literal, get_args

Storage = Literal["fp32", "fp16", "bf16", "int8"]
STORAGES: tuple[Storage, ...] = get_args(Storage)
