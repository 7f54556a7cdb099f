"""Opens the prompts of a worker: the settings choose the topic, the space of the texts and the head."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import structlog

from triptych.models.prompt_head_file import read_prompt_head
from triptych.models.spaces.text_space import TextSpace, TextSpaces, build_text_space
from triptych.schemas.errors import UsageError
from triptych.schemas.names import prompts_topic
from triptych.schemas.perception.prompt_head import SHIPPED_HEAD, PromptHead
from triptych.settings.tree import Settings
from triptych.transport.protocols import Transport
from triptych.units import NS_PER_MS
from triptych.worker.matching.prompt_reader import PromptReader

_log = structlog.get_logger(__name__)


def open_prompts(
    settings: Settings, transport: Transport, stack: ExitStack, *, labels: Sequence[str] = ()
) -> PromptReader:
    """Start to read the prompts, until `stack` is closed. `labels` are those that the model's detector may find."""
    reader = PromptReader(
        transport,
        prompts_topic(settings.prompts.pipeline or settings.pipeline),
        partial(_text_spaces_from, settings),
        delay_ns=settings.prompts.delay_ms * NS_PER_MS,
        clock_margin_ns=settings.align.clock_margin_ms * NS_PER_MS,
        labels=labels,
    )
    reader.start()
    stack.callback(reader.close)
    return reader


def prompt_head_from(settings: Settings) -> PromptHead:
    """Return the head that the settings name. Raises `UsageError` if the file is none."""
    return read_prompt_head(Path(settings.prompts.head)) if settings.prompts.head else SHIPPED_HEAD


def shadow_prompt_head_from(settings: Settings) -> PromptHead | None:
    """Return the head that is only compared; None without one. Raises `UsageError` if the file is none."""
    return read_prompt_head(Path(settings.prompts.shadow_head)) if settings.prompts.shadow_head else None


def _text_spaces_from(settings: Settings) -> TextSpaces:
    """Return the spaces of the model's vectors. Texts are compared with labels in the model's own, if it has one."""
    model = settings.model
    windows = _text_space("windows", model.name, model.picture_space, model.device)
    sounds = _text_space("sounds", model.name, model.sound_space, model.device) if model.sound_space else None
    labels = _text_space("labels", model.name) if model.picture_space else windows
    return TextSpaces(windows, sounds, labels)


def _text_space(compared_with: str, model_name: str, foundation: str = "", device: str = "cpu") -> TextSpace | None:
    """Return the space in which texts are compared with windows, sounds or labels.

    If it cannot be opened, say so and return None: texts are still compared in the other spaces.
    """
    try:
        return build_text_space(model_name, foundation, device)
    except UsageError as error:
        _log.warning("text_space_missing", compared_with=compared_with, error=str(error))
        return None
