"""Print what is said in each window of a stream, and continue after a restart where the last run stopped.

    python examples/subscribe_with_cursor.py --stream film --cursor film.cursor

Needs the extra `consumers` and a Redis to which a worker writes. Ctrl-C ends it.
"""

from __future__ import annotations

import argparse
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from triptych.consumers import Result, Subscriber


def describe(result: Result) -> str:
    """Return one line about a window: when it starts, what is visible, and what is said."""
    start = datetime.fromtimestamp(result.start_ns / 1e9, UTC)
    seen = ", ".join(label.label for label in result.observations.visual) or "-"
    said = " ".join(cue.text for cue in result.observations.words) or "-"
    return f"{start:%H:%M:%S}  {seen}: {said}"


def main() -> None:
    """Read results until Ctrl-C, or until the last one with --until-end."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--redis", default="redis://127.0.0.1:6379/0", metavar="URL")
    parser.add_argument("--pipeline", default="triptych")
    parser.add_argument("--stream", help="one stream; without it all streams")
    parser.add_argument("--cursor", type=Path, default=Path("results.cursor"), metavar="FILE")
    parser.add_argument("--until-end", action="store_true", help="stop after the newest result")
    options = parser.parse_args()

    since = options.cursor.read_text() if options.cursor.exists() else None
    with Subscriber.from_redis(options.redis, pipeline=options.pipeline) as subscriber:
        results = subscriber.results(options.stream, since, until_end=options.until_end)
        for result in results:
            print(describe(result), flush=True)
            # Saved after the result is handled: a crash in between repeats one result and loses none.
            options.cursor.write_text(str(results.cursor))


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
