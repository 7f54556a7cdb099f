"""Read a model's answer: find its JSON, and accept exactly what was asked for. No I/O."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from triptych.consumers.describing.chat.question import VERDICTS, WindowQuestion
from triptych.schemas.perception.descriptions import DescriptionAnswer

_SHOWN_CHARACTERS: Final = 200
_KEPT_CONTROLS: Final = "\n\t"

_Line = Annotated[str, StringConstraints(min_length=1, max_length=300, strip_whitespace=True)]
_Paragraph = Annotated[str, StringConstraints(min_length=1, max_length=4_000, strip_whitespace=True)]


class InvalidAnswerError(ValueError):
    """An answer is not what was asked for. The message says what was expected and what came, in one line."""


class ModelAnswer(BaseModel):
    """The answer of a model, with exactly the fields that were asked for."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    title: _Line
    what_happens: _Paragraph
    who: Annotated[list[_Line], Field(max_length=32)]
    answers: dict[str, _Paragraph]
    confidence: Annotated[float, Field(ge=0, le=1)]

    def answers_to(self, questions: Sequence[WindowQuestion]) -> tuple[DescriptionAnswer, ...]:
        """Return the answers with their questions."""
        return tuple(
            DescriptionAnswer(question=question.text, answer=self.answers[question.name], prompt=question.prompt)
            for question in questions
        )


def read_answer(text: str, questions: Sequence[WindowQuestion]) -> ModelAnswer:
    """Return the answer in a text: the text itself, or the only JSON object in it, such as in a code block.

    Raises:
        InvalidAnswerError: there is no JSON object or more than one; a field is missing, too much, or invalid; a
            question is not answered.
    """
    found = _json_object(text)
    try:
        answer = ModelAnswer.model_validate(_printable(found))
    except ValidationError as error:
        raise InvalidAnswerError(f"{_complaint(error)}; the answer begins: {_shown(text)}") from None
    _check_answers(answer, questions, text)
    return answer


def _json_object(text: str) -> dict[str, Any]:
    try:
        whole = json.loads(text)
    except ValueError:
        objects = list(_objects(text))
        if len(objects) != 1:
            number = len(objects) or "none"
            raise InvalidAnswerError(f"expected one JSON object, got {number} in: {_shown(text)}") from None
        return objects[0]
    if not isinstance(whole, dict):
        raise InvalidAnswerError(f"expected a JSON object, got: {_shown(text)}")
    return whole


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """Find the JSON objects in a text that are not part of another one."""
    decoder, at = json.JSONDecoder(), text.find("{")
    while at >= 0:
        try:
            value, end = decoder.raw_decode(text, at)
        except ValueError:
            end = at + 1
        else:
            yield value
        at = text.find("{", end)


def _check_answers(answer: ModelAnswer, questions: Sequence[WindowQuestion], text: str) -> None:
    wanted = {question.name for question in questions}
    if answer.answers.keys() != wanted:
        got = ", ".join(sorted(answer.answers)) or "none"
        raise InvalidAnswerError(
            f"answers: expected {', '.join(sorted(wanted)) or 'none'}, got {got}; the answer begins: {_shown(text)}"
        )
    for question in questions:
        given = answer.answers[question.name]
        if question.prompt is not None and given not in VERDICTS:
            raise InvalidAnswerError(f"answers.{question.name}: expected {', '.join(VERDICTS)}, got {_shown(given)}")


def _printable(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Remove control and direction characters from all texts: they could control a terminal that shows them."""
    match value:
        case str():
            return "".join(
                character
                for character in value
                if character in _KEPT_CONTROLS or unicodedata.category(character) not in {"Cc", "Cf", "Cs"}
            )
        case list():
            return [_printable(part) for part in value]
        case dict():
            return {_printable(name): _printable(part) for name, part in value.items()}
        case _:
            return value


def _complaint(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "missing":
        return f"{place}: expected this field, got nothing"
    if first["type"] == "extra_forbidden":
        return f"{_shown(place)}: expected no such field"
    return f"{place}: {first['msg']}"


def _shown(text: str) -> str:
    return repr(text[:_SHOWN_CHARACTERS]) + ("…" if len(text) > _SHOWN_CHARACTERS else "")
