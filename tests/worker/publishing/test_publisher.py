"""What a publisher reports of the results that it has stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from triptych.schemas.names import result_id
from triptych.schemas.results import Modalities, ModalityReport, ModelReference, Result, Sync
from triptych.worker.observability.events import Event, SyncMeasured
from triptych.worker.observability.hooks import Hooks
from triptych.worker.publishing.publisher import ResultPublisher
from triptych.worker.publishing.retry import RetryPolicy
from triptych.worker.publishing.stores.memory import MemoryStore
from triptych.worker.publishing.stores.protocol import StoredResult

if TYPE_CHECKING:
    from triptych.worker.publishing.messages import MessageBuilder
    from triptych.worker.publishing.sender import BatchSender

WINDOW_NS = 2_000_000_000
ABSENT = ModalityReport(state="absent")


def stored(number: int, **changes: Any) -> StoredResult:  # noqa: ANN401 - any field of a result
    """Return the result of window `number`."""
    start_ns, end_ns = number * WINDOW_NS, (number + 1) * WINDOW_NS
    result = Result(
        id=result_id("city", start_ns, end_ns, changes.get("revision", 0)),
        stream="city",
        start_ns=start_ns,
        end_ns=end_ns,
        published_ns=end_ns,
        modalities=Modalities(video=ABSENT, audio=ABSENT, subtitles=ABSENT),
        model=ModelReference(name="null", version="1", sha256="0" * 64),
        **{"closed_by": "progress", **changes},
    )
    return StoredResult(result, result.model_dump_json().encode())


def test_the_metric_of_synchronisation_follows_neither_hollow_nor_completed_windows() -> None:
    """A hollow window without a measurement leaves it as it was; its completion comes after newer measurements."""
    events = list[Event]()
    hooks = Hooks([events.append])
    unused = cast("BatchSender", None), cast("MessageBuilder", None)
    publisher = ResultPublisher(unused[0], MemoryStore(), unused[1], retry=RetryPolicy(hooks), hooks=hooks)
    publisher.store([stored(0, sync=Sync(offset_ms=40))])
    publisher.store([stored(1, closed_by="quiet")])
    publisher.store([stored(2, sync=Sync(offset_ms=42))])
    publisher.store([stored(1, closed_by="quiet", revision=1, sync=Sync(offset_ms=41))])

    assert [event.offset_ms for event in events if isinstance(event, SyncMeasured)] == [40, 42]
