"""Results as rows of an Arrow table: what people filter and group by as columns, and the whole result beside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from triptych.schemas.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from triptych.consumers.subscription.result_buffer import Delivery
    from triptych.schemas.results import LabelScore, Prediction, Result


def arrow_schema() -> pa.Schema:
    """Return the schema of the table. Times are nanoseconds in UTC.

    `visual`, `sound` and the values of `predictions` are lists of label and score, `counts` holds the largest number of
    each label in one picture, and `matches` the score of each prompt. `document` is the JSON of the result, with all
    else. Later versions append columns.

    Raises:
        UsageError: the extra `export` is not installed.
    """
    pa = _pyarrow()
    time, scores = pa.timestamp("ns", "UTC"), pa.list_(pa.struct([("label", pa.string()), ("score", pa.float64())]))
    return pa.schema(
        [
            pa.field("id", pa.string(), nullable=False),
            pa.field("window", pa.string(), nullable=False),
            pa.field("stream", pa.string(), nullable=False),
            pa.field("start", time, nullable=False),
            pa.field("end", time, nullable=False),
            pa.field("published", time, nullable=False),
            pa.field("revision", pa.int64(), nullable=False),
            pa.field("closed_by", pa.string(), nullable=False),
            ("words", pa.string()),
            ("language", pa.string()),
            ("speech_share", pa.float64()),
            ("loudness_lufs", pa.float64()),
            ("visual", scores),
            ("sound", scores),
            ("predictions", pa.map_(pa.string(), scores)),
            ("counts", pa.map_(pa.string(), pa.int64())),
            ("matches", pa.map_(pa.string(), pa.float64())),
            ("novelty", pa.float64()),
            ("quality_flags", pa.list_(pa.string())),
            ("video", pa.string()),
            ("audio", pa.string()),
            ("subtitles", pa.string()),
            ("dead", pa.int64()),
            ("model", pa.string()),
            ("trace_id", pa.string()),
            pa.field("document", pa.string(), nullable=False),
        ]
    )


def record_batch(deliveries: Sequence[Delivery], schema: pa.Schema) -> pa.RecordBatch:
    """Return a batch with one row for each result, in order."""
    rows = [_row(delivery.result, delivery.document.decode()) for delivery in deliveries]
    batch: pa.RecordBatch = _pyarrow().RecordBatch.from_pylist(rows, schema=schema)
    return batch


def to_arrow(results: Iterable[Result]) -> pa.Table:
    """Return results as a table. It holds all of them in memory: end the subscription (`until_end=True`).

    Raises:
        UsageError: the extra `export` is not installed.
    """
    rows = [_row(result, result.model_dump_json()) for result in results]
    table: pa.Table = _pyarrow().Table.from_pylist(rows, schema=arrow_schema())
    return table


def to_pandas(results: Iterable[Result]) -> pd.DataFrame:
    """Return results as a data frame, with the columns of `to_arrow`. It holds all of them in memory.

    Raises:
        UsageError: the extra `export`, or pandas, is not installed.
    """
    try:
        import pandas as pd  # noqa: F401, PLC0415 - pyarrow needs it for this, and would raise a longer error
    except ImportError as error:
        raise UsageError("to_pandas needs pandas: pip install pandas") from error
    return to_arrow(results).to_pandas()


def _pyarrow() -> Any:  # noqa: ANN401 - a module
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise UsageError("tables of results need pyarrow: pip install 'triptych[export]'") from error
    return pa


def _row(result: Result, document: str) -> Mapping[str, object]:
    seen = result.observations
    return {
        "id": result.id,
        "window": result.window,
        "stream": result.stream,
        "start": result.start_ns,
        "end": result.end_ns,
        "published": result.published_ns,
        "revision": result.revision,
        "closed_by": result.closed_by,
        "words": "\n".join(words.text for words in seen.words) or None,
        "language": seen.language,
        "speech_share": seen.speech_share,
        "loudness_lufs": seen.loudness_lufs,
        "visual": _scores(seen.visual),
        "sound": _scores(seen.sound),
        "predictions": [(head, _scores(scored)) for head, scored in result.predictions.items()],
        "counts": None if result.counts is None else [(name, count.largest) for name, count in result.counts.items()],
        "matches": None if result.matches is None else [(name, match.score) for name, match in result.matches.items()],
        "novelty": result.novelty,
        "quality_flags": [] if result.quality is None else list(result.quality.flags),
        "video": result.modalities.video.state,
        "audio": result.modalities.audio.state,
        "subtitles": result.modalities.subtitles.state,
        "dead": result.dead,
        "model": f"{result.model.name} {result.model.version}",
        "trace_id": result.trace_id,
        "document": document,
    }


def _scores(scored: Iterable[LabelScore | Prediction]) -> list[dict[str, object]]:
    return [{"label": each.label, "score": each.score} for each in scored]
