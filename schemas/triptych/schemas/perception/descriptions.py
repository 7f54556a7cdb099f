"""What a vision-language model wrote about a window: version 1 of the records of `PIPELINE.descriptions`."""

from __future__ import annotations

import operator
from typing import Annotated, Final, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from triptych.schemas.values import WRITTEN_WHERE_TRUE, Count, Nanoseconds, StreamId, Value

DESCRIPTION_VERSION: Final = 1

DescriptionOutcome = Literal["described", "refused", "given_up"]
"""The model described the window; its answers or the request were not valid; the endpoint did not answer in time."""

PromptHash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
"""The first 64 bits of SHA-256 over what was asked: instructions, questions, language, schema and model."""


class DescriptionAnswer(Value):
    """The answer to one question.

    `prompt` names the prompt of the stream that the question verifies; its answer is `yes`, `no` or `unclear`. Other
    questions are those of the user, and their answers are free text.
    """

    question: str
    answer: str
    prompt: str | None = Field(default=None, exclude_if=operator.not_, json_schema_extra=WRITTEN_WHERE_TRUE)


class DescribedMedia(Value):
    """What the model was given: how many frames and cues, and whether the sound itself.

    `missing` says, in one line for each modality, which records of the window no longer existed.
    """

    frames: Count = 0
    cues: Count = 0
    audio: bool = False
    missing: tuple[str, ...] = ()


class DescriptionCost(Value):
    """What the answer cost, failed attempts included: tokens, and US dollars by the prices that the user gave.

    `estimated` is true if the endpoint did not report the tokens of an attempt.
    """

    input_tokens: Count = 0
    output_tokens: Count = 0
    usd: Annotated[float, Field(ge=0)] = 0.0
    estimated: bool = False


class WindowLikeness(Value):
    """By what a later window is compared with this one, to see whether it shows the same.

    `vector` is the window's vector (base64 of float16, `decode_vector`) in `space`. `layout` is the hash of
    `Quality.layout`. `words` are hashes of the texts of the cues.
    """

    space: str | None = None
    vector: str | None = None
    layout: str | None = None
    words: tuple[str, ...] = ()


class Description(Value):
    """The description of one window. On the wire it is JSON, and the key is the stream's id.

    `result` is the id of the result that was described, and `prompt_hash` identifies what was asked; a window is
    described once for each prompt hash. The fields from `title` to `confidence` are the model's, and empty unless
    `outcome` is `described`. `reason` says why it is not. `published_ns` is the wall clock of the program.
    """

    schema_version: Annotated[int, Field(ge=1)] = DESCRIPTION_VERSION
    result: str
    prompt_hash: PromptHash
    stream: StreamId
    start_ns: Nanoseconds
    end_ns: Nanoseconds
    published_ns: Count
    model: str
    language: str
    outcome: DescriptionOutcome
    reason: str | None = None
    title: str = ""
    what_happens: str = ""
    who: tuple[str, ...] = ()
    answers: tuple[DescriptionAnswer, ...] = ()
    confidence: Annotated[float, Field(ge=0, le=1)] | None = None
    given: DescribedMedia = DescribedMedia()
    cost: DescriptionCost = DescriptionCost()
    likeness: WindowLikeness = WindowLikeness()

    @property
    def id(self) -> str:
        """The description's id: that of the result, and the prompt hash."""
        return f"{self.result}/{self.prompt_hash}"

    @property
    def window(self) -> str:
        """The id of the window, which all revisions of its result share."""
        return self.result.rpartition("/")[0]

    @model_validator(mode="after")
    def _belongs_to_its_result(self) -> Self:
        if self.window != f"{self.stream}/{self.start_ns}-{self.end_ns}":
            msg = "result: the id of a result of this stream and window"
            raise ValueError(msg)
        if (self.outcome == "described") == (not self.title):
            msg = "title: a title if the window was described, and none otherwise"
            raise ValueError(msg)
        return self
