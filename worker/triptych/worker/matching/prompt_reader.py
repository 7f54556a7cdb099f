"""Reads the prompts of a pipeline while a worker runs, on a thread of its own.

The thread asks for the end of the topic at intervals, reads up to it, and embeds the new texts. So it knows the prompts
up to the moment of asking, and a decision whose arrival clock is less than `delay_ns` ahead of that moment may be
published. The publishing thread waits for the others (`is_known`), as long as the broker does not answer. A topic that
does not exist holds no prompts.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import numpy as np
import structlog
from numpy.typing import NDArray

from triptych.models.spaces.text_space import TextSpace, TextSpaces
from triptych.schemas.errors import MalformedRecordError
from triptych.schemas.perception.prompt_codec import decode_prompt_change
from triptych.transport.errors import BrokerUnavailableError, NotAuthorizedError, RetriableError, TopicMissingError
from triptych.transport.protocols import Reader, TopicAdmin, Transport
from triptych.transport.records import Record, TopicPartition
from triptych.worker.matching.label_names import LabelVectors
from triptych.worker.matching.prompt_timeline import (
    AppendedChange,
    PromptSet,
    PromptTimeline,
    PromptVectors,
    TextVectors,
)

_log = structlog.get_logger(__name__)

_INTERVAL_S: Final = 0.5
_MISSING_INTERVAL_S: Final = 2.0
"""How often a missing topic is looked for, unless a result waits for the answer."""
_POLL_S: Final = 0.2
_READ_LIMIT_S: Final = 10.0
_JOIN_S: Final = 15.0


OpenTextSpaces = Callable[[], TextSpaces]
"""Opens the spaces of the model's vectors when there is a first prompt. Blocks. One that is missing is None."""


class PromptReader:
    """The prompts of one pipeline (see `PromptSource`)."""

    def __init__(
        self,
        transport: Transport,
        topic: str,
        open_spaces: OpenTextSpaces,
        *,
        delay_ns: int,
        clock_margin_ns: int,
        labels: Sequence[str] = (),
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """Read nothing yet: `start` does.

        Args:
            transport: where to read.
            topic: the prompts' topic, which may be missing.
            open_spaces: opens the spaces of the texts.
            delay_ns: how long after its arrival a change takes effect.
            clock_margin_ns: how far the clocks of the brokers may lie behind this one.
            labels: what the detector may find.
            wall_ns: the wall clock.
        """
        self._transport = transport
        self._tp = TopicPartition(topic, 0)
        self._open_spaces = open_spaces
        self._labels = tuple(labels)
        self._clock_margin_ns = clock_margin_ns
        self._wall_ns = wall_ns
        self._timeline = PromptTimeline(delay_ns)
        self._reader: Reader | None = None
        self._admin: TopicAdmin | None = None
        self._fetched: list[Record] = []
        self._is_refused = False
        self._spaces: _EmbeddedTexts | None = None
        self._error: Exception | None = None
        self._wanted = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="prompts", daemon=True)

    def start(self) -> None:
        """Start to read."""
        self._thread.start()

    def close(self) -> None:
        """End the thread. Blocks while it reads or embeds."""
        self._stopping.set()
        self._wanted.set()
        if self._thread.is_alive():
            self._thread.join(_JOIN_S)
        else:
            self._close_reader()
            self._close_admin()

    # --- called by any thread -----------------------------------------------------------------------------------------

    def is_known(self, clock_ns: int) -> bool:
        """Return whether every change that is in effect at this arrival clock has been read.

        If not, the thread asks again at once. Raises the error that ended the thread.
        """
        if self._error is not None:
            raise self._error
        if self._timeline.is_known(clock_ns):
            return True
        self._wanted.set()
        return False

    def in_effect(self, stream: str, clock_ns: int) -> PromptSet:
        """Return the prompts of a stream for a decision at this arrival clock."""
        return self._timeline.in_effect(stream, clock_ns)

    # --- run by the thread --------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                if not self.read_once():
                    self._stopping.wait(_INTERVAL_S)
                self._wanted.wait(_MISSING_INTERVAL_S if self._reader is None else _INTERVAL_S)
                self._wanted.clear()
        except Exception as error:  # noqa: BLE001 - `is_known` raises it on the thread that publishes
            self._error = error
        finally:
            self._close_reader()
            self._close_admin()

    def _close_reader(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()

    def _close_admin(self) -> None:
        admin, self._admin = self._admin, None
        if admin is not None:
            admin.close()

    def read_once(self) -> bool:
        """Read the topic to its present end; return whether the broker answered. If not, nothing more is known."""
        asked_ns = self._wall_ns()
        try:
            self._read_to_end()
        except RetriableError as error:
            _log.warning("prompts_not_read", topic=self._tp.topic, error=str(error))
            return False
        except TopicMissingError:
            self._close_reader()  # it was deleted; it may be created again
        except NotAuthorizedError as error:
            if not self._is_refused:
                _log.error("prompts_not_authorized", topic=self._tp.topic, error=str(error))
            self._is_refused = True
        fetched, self._fetched = self._fetched, []
        changes = [change for record in fetched if (change := _change_of(record)) is not None]
        longer = self._timeline.extended(changes, known_until_ns=asked_ns - self._clock_margin_ns)
        if changes:
            longer = longer.with_vectors(self._vectors_of(longer.texts))
            _log.info("prompts_read", topic=self._tp.topic, changes=len(changes))
        self._timeline = longer
        return True

    def _read_to_end(self) -> None:
        """Fetch the records that were appended before this call, and maybe some that were appended meanwhile."""
        if self._reader is None:
            if not self._exists():
                return
            self._reader = self._transport.reader({self._tp: 0})
        end = self._reader.end_offsets([self._tp])[self._tp]
        if end < self._reader.position(self._tp):
            _log.warning("prompts_topic_recreated", topic=self._tp.topic)
            self._reader.seek(self._tp, 0)
            self._timeline = self._timeline.emptied()
        deadline_s = time.monotonic() + _READ_LIMIT_S
        while self._reader.position(self._tp) < end and not self._stopping.is_set():
            if time.monotonic() > deadline_s:
                raise BrokerUnavailableError(f"its records cannot be read up to offset {end}")
            self._fetched += self._reader.poll(_POLL_S).records

    def _exists(self) -> bool:
        """Return whether there is such a topic. The admin client stays open until there is."""
        if self._admin is None:
            self._admin = self._transport.admin()
        exists = bool(self._admin.identify([self._tp.topic]))
        if exists:
            self._close_admin()
        return exists

    def _vectors_of(self, texts: Iterable[str]) -> PromptVectors:
        if self._spaces is None:
            self._spaces = _EmbeddedTexts(self._opened_spaces(), self._labels)
        return self._spaces.vectors_of(texts)

    def _opened_spaces(self) -> TextSpaces:
        spaces = self._open_spaces()
        if spaces.windows is None and spaces.sounds is None:
            _log.warning("prompt_texts_not_embedded", error="there is no space of texts and windows, nor of sounds")
        return spaces


class _EmbeddedTexts:
    """The vectors of texts in all spaces. Each text is embedded once in each space."""

    def __init__(self, spaces: TextSpaces, labels: tuple[str, ...]) -> None:
        self._spaces = spaces
        self._labels = labels
        self._vectors: dict[str, dict[str, NDArray[np.float32]]] = {}

    def vectors_of(self, texts: Iterable[str]) -> PromptVectors:
        """Return the vectors of all texts so far. Blocks while the encoders run."""
        wanted = set(texts)
        return PromptVectors(
            self._in_space(self._spaces.windows, wanted),
            self._in_space(self._spaces.sounds, wanted),
            self._with_labels(wanted),
        )

    def _with_labels(self, texts: set[str]) -> LabelVectors | None:
        if not self._labels:
            return None
        found = self._in_space(self._spaces.labels, texts | set(self._labels))
        return None if found is None else LabelVectors(self._labels, found.space, found.by_text)

    def _in_space(self, space: TextSpace | None, texts: set[str]) -> TextVectors | None:
        if space is None:
            return None
        known = self._vectors.setdefault(space.name, {})
        new = sorted(texts - known.keys())
        known.update(zip(new, space.embed_texts(new), strict=True))
        return TextVectors(space.name, dict(known))


def _change_of(record: Record) -> AppendedChange | None:
    try:
        return AppendedChange(record.arrival_ns, decode_prompt_change(record.value, record.headers))
    except MalformedRecordError as error:
        _log.warning("prompt_unreadable", topic=record.topic, offset=record.offset, reason=str(error))
        return None
