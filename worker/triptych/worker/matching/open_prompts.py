"""Opens the prompts of a worker: the settings choose the topic, the space of the texts and the head."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from pathlib import Path

from triptych.models.spaces.text_space import TextSpace, build_text_space
from triptych.schemas.names import prompts_topic
from triptych.settings.tree import Settings
from triptych.transport.protocols import Transport
from triptych.units import NS_PER_MS
from triptych.worker.matching.prompt_head import SHIPPED_HEAD, PromptHead, read_prompt_head
from triptych.worker.matching.prompt_reader import PromptReader


def open_prompts(settings: Settings, transport: Transport, stack: ExitStack) -> PromptReader:
    """Start to read the prompts, until `stack` is closed."""
    reader = PromptReader(
        transport,
        prompts_topic(settings.prompts.pipeline or settings.pipeline),
        partial(_text_space_from, settings),
        delay_ns=settings.prompts.delay_ms * NS_PER_MS,
        clock_margin_ns=settings.align.clock_margin_ms * NS_PER_MS,
    )
    reader.start()
    stack.callback(reader.close)
    return reader


def prompt_head_from(settings: Settings) -> PromptHead:
    """Return the head that the settings name. Raises `UsageError` if the file is none."""
    return read_prompt_head(Path(settings.prompts.head)) if settings.prompts.head else SHIPPED_HEAD


def _text_space_from(settings: Settings) -> TextSpace | None:
    return build_text_space(settings.model.name, settings.model.picture_space)
