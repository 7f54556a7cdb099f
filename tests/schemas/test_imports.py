"""The contract is light: its users need not install or import what only the programs use."""

from __future__ import annotations

import subprocess
import sys

_PROGRAM = """
import importlib, pkgutil, sys
import triptych.schemas
for module in pkgutil.iter_modules(triptych.schemas.__path__, "triptych.schemas."):
    importlib.import_module(module.name)
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def test_the_contract_imports_nothing_heavy() -> None:
    """No module of the contract imports a model, codec, broker or store."""
    loaded = subprocess.run([sys.executable, "-c", _PROGRAM], check=True, capture_output=True, text=True).stdout.split()
    assert "triptych" in loaded
    assert not {"torch", "av", "cv2", "redis", "kafka", "numpy"} & set(loaded)
