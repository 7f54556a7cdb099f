"""Import the libraries of the extra `foundation`, and load models with them from local files only.

They take seconds and hundreds of megabytes to import, so nothing here runs before a setting or a command asks for a
foundation model.
"""

from __future__ import annotations

import importlib
import os
import pickle  # for its error only: nothing is unpickled here
from types import ModuleType
from typing import Any

import structlog

from triptych.models.foundation.files.model_files import ModelFiles
from triptych.schemas.errors import UsageError

_log = structlog.get_logger(__name__)
_SHOWN_KEYS = 3
LOAD_ERRORS = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    ImportError,
    RuntimeError,
    pickle.UnpicklingError,
)
"""What the libraries raise for files that they cannot load."""


def foundation_library(name: str) -> ModuleType:
    """Import a library of the extra `foundation`, which then never asks the network.

    Raises:
        UsageError: the extra is not installed.
    """
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read by huggingface_hub when it is first imported
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # its threads do not survive a fork
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        raise UsageError(
            f"a foundation model needs the package {name}, which is not installed ({error}): "
            "pip install 'triptych[foundation]'"
        ) from error
    if name == "transformers":
        module.utils.logging.set_verbosity_error()
        module.utils.logging.disable_progress_bar()
    return module


def load_pretrained(auto_class: str, files: ModelFiles, **options: Any) -> Any:  # noqa: ANN401 - the library is untyped
    """Load a processor or tokenizer with an Auto class of transformers.

    Raises:
        UsageError: the files do not hold one.
    """
    transformers = foundation_library("transformers")
    try:
        return getattr(transformers, auto_class).from_pretrained(
            files.folder, local_files_only=True, trust_remote_code=False, **options
        )
    except LOAD_ERRORS as error:
        raise UsageError(f"{files.source}: transformers cannot load it as {auto_class}: {first_line(error)}") from error


def load_pretrained_model(auto_class: str, files: ModelFiles) -> Any:  # noqa: ANN401 - the library is untyped
    """Load a model with an Auto class of transformers, in evaluation mode, float32, on the CPU.

    Weights in the format of `torch.save` are read as tensors only, so that they can run no code. Code that the files
    bring is never run.

    Raises:
        UsageError: the files hold no such model, or not all of its weights.
    """
    import torch  # noqa: PLC0415 - the command line imports this module

    transformers = foundation_library("transformers")
    try:
        model, report = getattr(transformers, auto_class).from_pretrained(
            files.folder,
            local_files_only=True,
            trust_remote_code=False,
            weights_only=True,
            dtype=torch.float32,
            output_loading_info=True,
        )
    except LOAD_ERRORS as error:
        raise UsageError(f"{files.source}: transformers cannot load it as {auto_class}: {first_line(error)}") from error
    # The library fills what is missing with random numbers and only logs it.
    absent = sorted(map(str, (*report["missing_keys"], *report["mismatched_keys"])))
    if absent:
        raise UsageError(
            f"{files.source}: the weights do not fit {type(model).__name__}: {len(absent)} are missing or have another "
            f"shape, such as {', '.join(absent[:_SHOWN_KEYS])}"
        )
    _log.info("foundation_model_loaded", source=str(files.source), type=type(model).__name__, sha256=files.sha256)
    return model.eval().requires_grad_(requires_grad=False)


def first_line(error: Exception) -> str:
    """Return the first line of what an error says, or its type."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
