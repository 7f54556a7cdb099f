"""Opens the prompts of a worker: the settings choose the topic, the space of the texts and the head."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import structlog

from triptych.models.spaces.text_space import TextSpaces, build_text_space
from triptych.schemas.errors import UsageError
from triptych.schemas.names import prompts_topic
from triptych.schemas.perception.prompt_head import SHIPPED_HEAD, PromptHead, read_prompt_head
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


def _text_spaces_from(settings: Settings) -> TextSpaces:
    """Return the spaces of the model's vectors. Texts are compared with labels in the model's own, if it has one."""
    model = settings.model
    if not model.picture_space:
        own = windows = build_text_space(model.name)
    else:
        windows = build_text_space(model.name, model.picture_space, model.device)
        try:
            own = build_text_space(model.name)
        except UsageError as error:  # a model that needs no such weights
            _log.info("label_names_not_embedded", reason=str(error))
            own = None
    sounds = build_text_space(model.name, model.sound_space, model.device) if model.sound_space else None
    return TextSpaces(windows, sounds, labels=own)
