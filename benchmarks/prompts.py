"""How well prompts find what is asked for, fused and by source: `python -m benchmarks.prompts [--rendered]`.

With `--rendered`, films run through a whole worker: see `rendered_prompts.py`. Without it:

Generated streams, at the level of vectors. The vectors of prompts, cues and names of sounds are those of the semantic
space's own text encoder. A picture's vector is what the label part of the space makes of a classifier that is right:
the mean of the vectors of ImageNet label names by their probabilities, one label of what is shown and nine others. No
pictures are rendered, so this measures the fusion and its calibration, and not how well the encoders see and hear.

In a window in which something happens, pictures, cues and sounds each show it with a known probability and
independently; now and then a source shows it although nothing happens. So the best possible AUROC of each source, and
of all together, is known. Every stream has its own usual topics, with which the prompt has more or less in common. Its
windows run through the worker's own code: `MatchHistory`.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks import rendered_prompts
from benchmarks.rendered_prompts import RenderedStream
from triptych.models.prediction import WindowVectors
from triptych.models.spaces.text_space import build_text_space
from triptych.schemas.names import result_id
from triptych.schemas.perception.prompts import Prompt, PromptChange
from triptych.schemas.results import Arrival, Modalities, ModalityReport, ModelReference, Result
from triptych.worker.matching.match_history import MatchHistory
from triptych.worker.matching.prompt_timeline import AppendedChange, PromptTimeline, PromptVectors, TextVectors
from triptych.worker.matching.similarities import WindowSources

Vector = NDArray[np.float32]
Scores = NDArray[np.float64]

SOURCES: Final = ("video", "subtitles", "audio")
SHOWN: Final[Mapping[str, float]] = {"video": 0.6, "subtitles": 0.4, "audio": 0.4}
"""Probability with which a source shows what happens."""
FALSELY: Final = 0.03
"""Probability with which a source shows it although it does not happen."""
HAPPENS: Final = 0.1
OF_TOPIC: Final = 0.5
"""Share of what a source shows otherwise that belongs to one of the stream's topics."""
MISSING: Final = 0.3
THRESHOLD: Final = 0.9
WINDOWS: Final = 300
STREAMS_PER_CONCEPT: Final = 3
TOPICS: Final = 4
LABELS: Final = 10
FRAMES: Final = 2
WINDOW_NS: Final = 2_000_000_000
RESAMPLES: Final = 1_000
SEED: Final = 20_261_129


@dataclass(frozen=True)
class Concept:
    """What may happen: the prompt, and how pictures (labels), cues and sounds show it."""

    prompt: str
    chinese: str
    labels: tuple[str, ...]
    cues: tuple[str, ...]
    sounds: tuple[str, ...]


CONCEPTS: Final = (
    Concept(
        "a dog",
        "狗",
        ("golden retriever", "beagle", "border collie"),
        ("The dog wants to go out.", "Good boy, come here, puppy!"),
        ("dog barking", "dog growling"),
    ),
    Concept(
        "a cat",
        "猫",
        ("tabby cat", "Persian cat", "Siamese cat"),
        ("The cat sleeps on the sofa.", "Kitty, kitty, where are you?"),
        ("cat meowing", "cat purring"),
    ),
    Concept(
        "a train",
        "火车",
        ("steam locomotive", "electric locomotive", "bullet train"),
        ("The train to Berlin leaves at nine.", "Mind the gap, the train is arriving."),
        ("train horn", "train on rails"),
    ),
    Concept(
        "a boat on the water",
        "水上的船",
        ("speedboat", "canoe", "yawl"),
        ("Row the boat to the shore.", "The ship leaves the harbour."),
        ("boat engine", "ship horn"),
    ),
    Concept(
        "birds",
        "鸟",
        ("goldfinch", "robin", "jay"),
        ("Listen, the birds are singing.", "The swallows fly south in autumn."),
        ("birdsong", "bird chirping"),
    ),
    Concept(
        "somebody plays the guitar",
        "有人弹吉他",
        ("acoustic guitar", "electric guitar"),
        ("He tunes his guitar.", "A guitar solo, please!"),
        ("guitar music", "strumming a guitar"),
    ),
    Concept(
        "a piano",
        "钢琴",
        ("grand piano", "upright piano"),
        ("She sits down at the piano.", "The pianist plays Chopin."),
        ("piano music", "piano keys"),
    ),
    Concept(
        "an airplane",
        "飞机",
        ("airliner", "warplane", "airplane wing"),
        ("Our flight lands in an hour.", "The plane is taking off."),
        ("jet engine", "airplane taking off"),
    ),
    Concept(
        "a bicycle",
        "自行车",
        ("mountain bike", "tricycle", "bicycle built for two"),
        ("I ride my bike to work.", "The cyclist fell off the bicycle."),
        ("bicycle bell", "riding a bicycle"),
    ),
    Concept(
        "a bridge",
        "桥",
        ("suspension bridge", "steel arch bridge", "viaduct"),
        ("We cross the river on the old bridge.", "The bridge is closed for repairs."),
        ("traffic on a bridge", "footsteps on a wooden bridge"),
    ),
    Concept(
        "a volcano erupts",
        "火山爆发",
        ("volcano",),
        ("Lava flows down the mountain.", "The volcano has erupted again."),
        ("volcanic eruption", "rumbling of a volcano"),
    ),
    Concept(
        "a horse",
        "马",
        ("sorrel horse", "horse cart"),
        ("Saddle the horses.", "The mare gallops across the field."),
        ("horse neighing", "hooves clattering"),
    ),
    Concept(
        "an ambulance",
        "救护车",
        ("ambulance",),
        ("Call an ambulance, quickly!", "The paramedics are on their way."),
        ("ambulance siren", "emergency siren"),
    ),
    Concept(
        "football",
        "足球",
        ("soccer ball", "football helmet"),
        ("What a goal!", "The referee ends the match, two to one."),
        ("crowd cheering in a stadium", "referee whistle"),
    ),
    Concept(
        "somebody cooks",
        "有人做饭",
        ("frying pan", "wok", "stove"),
        ("Add salt and stir the soup.", "Chop the onions and fry them."),
        ("frying in a pan", "boiling water"),
    ),
    Concept(
        "the sea",
        "大海",
        ("seashore", "sandbar", "breakwater"),
        ("The tide comes in at the beach.", "We swim in the ocean."),
        ("waves on the shore", "sea waves"),
    ),
    Concept(
        "cows",
        "牛",
        ("ox", "water buffalo"),
        ("The cattle graze on the meadow.", "He milks the cows every morning."),
        ("cow mooing", "cowbells"),
    ),
    Concept(
        "a violin",
        "小提琴",
        ("violin", "cello"),
        ("The violinist rehearses the sonata.", "Bring your violin to the concert."),
        ("violin music", "string quartet"),
    ),
    Concept(
        "a clock",
        "时钟",
        ("wall clock", "analog clock", "hourglass"),
        ("It is five minutes to midnight.", "The old clock has stopped."),
        ("clock ticking", "clock chime"),
    ),
    Concept(
        "rain",
        "下雨",
        ("umbrella",),
        ("It will rain all day.", "Take an umbrella, it is pouring."),
        ("rain on a roof", "rain and thunder"),
    ),
)
USUAL_CUES: Final = (
    "I do not know what you mean.", "See you tomorrow.", "Thank you very much.", "How are you today?",
    "Let us talk about it later.", "The meeting begins at ten.", "That is not what she said.", "Please wait a moment.",
)  # fmt: skip
USUAL_LABELS: Final = (
    "desk", "street sign", "window shade", "suit", "microphone", "television", "bookcase", "traffic light",
    "sunglasses", "coffee mug", "restaurant", "parking meter", "jersey", "crane", "wardrobe", "library",
)  # fmt: skip
USUAL_SOUNDS: Final = (
    "speech",
    "music",
    "traffic noise",
    "silence",
    "applause",
    "footsteps",
    "wind",
    "background chatter",
)
PRESENT: Final = ModalityReport(state="present")
MODEL: Final = ModelReference(name="generated", version="1", sha256="0" * 64)


@dataclass(frozen=True)
class PlayedStream:
    """The windows of one stream: whether it happens in each, what each source says, and the fused log-odds."""

    happens: NDArray[np.bool_]
    log_odds: Scores
    evidence: Mapping[str, Scores]
    similarity: Mapping[str, Scores]
    quantile: Scores


class Generator:
    """Makes the vectors of windows."""

    def __init__(self, vectors: Mapping[str, Vector], random: np.random.Generator) -> None:
        self._vectors = vectors
        self._random = random

    def pick(self, texts: Sequence[str]) -> str:
        """Return one of some texts."""
        return texts[int(self._random.integers(len(texts)))]

    def picture(self, label: str) -> Vector:
        """Return the vector of a picture of which the classifier says this label first."""
        first = self._random.uniform(0.3, 0.9)
        weights = self._random.dirichlet(np.full(LABELS - 1, 0.5)) * (1 - first)
        others = [self.pick(USUAL_LABELS) for _ in range(LABELS - 1)]
        mean = first * self._vectors[label] + sum(
            weight * self._vectors[other] for weight, other in zip(weights, others, strict=True)
        )
        return _unit(mean)

    def window(self, said: Mapping[str, str]) -> WindowVectors:
        """Return the vectors of a window in which each source shows a text; a source without one is missing."""
        frames = np.stack([self.picture(said["video"]) for _ in range(FRAMES)]) if "video" in said else None
        own = {source: self._vectors[text] for source, text in said.items() if source != "video"}
        video = None if frames is None else _unit(frames.mean(0))
        parts = [vector for vector in (video, *own.values()) if vector is not None]
        fused = _unit(np.mean(parts, axis=0)) if parts else np.zeros(1, np.float32)
        return WindowVectors("semantic", fused, video=video, frames=frames, **own)


def _unit(vector: NDArray[np.floating]) -> Vector:
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


def texts_of(concept: Concept, source: str) -> tuple[str, ...]:
    """Return how a source shows a concept."""
    return {"video": concept.labels, "subtitles": concept.cues, "audio": concept.sounds}[source]


def usual_texts(source: str) -> tuple[str, ...]:
    """Return what a source shows in any stream."""
    return {"video": USUAL_LABELS, "subtitles": USUAL_CUES, "audio": USUAL_SOUNDS}[source]


def play(
    concept: Concept,
    timeline: PromptTimeline,
    make: Generator,
    random: np.random.Generator,
    *,
    missing: Callable[[str], bool] = lambda _: False,
) -> PlayedStream:
    """Run a stream through the worker's matching."""
    topics = [CONCEPTS[int(n)] for n in random.permutation(len(CONCEPTS)) if CONCEPTS[int(n)] is not concept][:TOPICS]
    history = MatchHistory(600 * 10**9, timeline)
    happens = random.random(WINDOWS) < HAPPENS
    rows = []
    for number in range(WINDOWS):
        said = {}
        for source in SOURCES:
            shows = random.random() < (SHOWN[source] if happens[number] else FALSELY)
            topic = topics[int(random.integers(TOPICS))]
            others = texts_of(topic, source) if random.random() < OF_TOPIC else usual_texts(source)
            text = make.pick(texts_of(concept, source) if shows else others)
            if not missing(source):
                said[source] = text
        vectors = make.window(said) if said else None
        result = history.with_matches(_result(number), WindowSources(vectors, (0,) * FRAMES), clock_ns=10**12)
        rows.append((result.matches or {}).get("asked"))
    return PlayedStream(
        happens=happens,
        log_odds=np.array([-np.inf if row is None else row.log_odds for row in rows]),
        evidence={s: np.array([_value(row and getattr(row.evidence, s)) for row in rows]) for s in SOURCES},
        similarity={
            s: np.array([_value(row and row.similarity and getattr(row.similarity, s)) for row in rows])
            for s in SOURCES
        },
        quantile=np.array([_value(row and row.quantile) for row in rows]),
    )


def _value(found: float | None) -> float:
    return 0.0 if found is None else float(found)


def _result(number: int) -> Result:
    start_ns = number * WINDOW_NS
    arrived_ms = start_ns // 10**6
    return Result(
        id=result_id("generated", start_ns, start_ns + WINDOW_NS, 0),
        stream="generated",
        start_ns=start_ns,
        end_ns=start_ns + WINDOW_NS,
        closed_by="progress",
        published_ns=1,
        arrival_ms=Arrival(first=arrived_ms, last=arrived_ms + 1_900),
        modalities=Modalities(video=PRESENT, audio=PRESENT, subtitles=PRESENT),
        model=MODEL,
    )


def auroc(scores: Scores, happens: NDArray[np.bool_]) -> float:
    """Return the probability that a window in which it happens scores higher than another one; ties count half."""
    order = np.argsort(scores, kind="stable")
    ranks = np.empty(len(scores))
    values = scores[order]
    first = np.searchsorted(values, values, "left")
    last = np.searchsorted(values, values, "right")
    ranks[order] = (first + last + 1) / 2
    positives = int(happens.sum())
    return float((ranks[happens].sum() - positives * (positives + 1) / 2) / (positives * (len(scores) - positives)))


def ceiling(sources: Sequence[str], share: Mapping[str, float] = SHOWN) -> float:
    """Return the best possible AUROC of some sources: that of the likelihood ratio of what they show.

    Args:
        sources: the sources.
        share: the probability with which each shows what happens.
    """
    ratios, ones, zeros = [], [], []
    for shown in itertools.product((False, True), repeat=len(sources)):
        one = zero = 1.0
        for source, does in zip(sources, shown, strict=True):
            one *= share[source] if does else 1 - share[source]
            zero *= FALSELY if does else 1 - FALSELY
        ratios.append(one / zero)
        ones.append(one)
        zeros.append(zero)
    return sum(
        one * zero * (1.0 if above > below else 0.5 if above == below else 0.0)
        for (above, one), (below, zero) in itertools.product(
            zip(ratios, ones, strict=True), zip(ratios, zeros, strict=True)
        )
    )


Measure = Callable[[PlayedStream], Scores]


def measured(
    streams: Sequence[PlayedStream], measure: Measure, random: np.random.Generator
) -> tuple[float, float, float]:
    """Return the mean AUROC of the streams, and its 95 % interval: a bootstrap over streams."""
    each = np.array([auroc(measure(stream), stream.happens) for stream in streams])
    means = each[random.integers(len(each), size=(RESAMPLES, len(each)))].mean(1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(each.mean()), float(low), float(high)


def pooled(
    streams: Sequence[PlayedStream], measure: Measure, random: np.random.Generator
) -> tuple[float, float, float]:
    """Return the AUROC of all windows together, as one threshold for all streams finds them, with its interval."""
    scores, happens = [measure(stream) for stream in streams], [stream.happens for stream in streams]
    value = auroc(np.concatenate(scores), np.concatenate(happens))
    resampled = []
    for _ in range(RESAMPLES // 5):
        drawn = random.integers(len(streams), size=len(streams))
        resampled.append(auroc(np.concatenate([scores[n] for n in drawn]), np.concatenate([happens[n] for n in drawn])))
    low, high = np.percentile(resampled, [2.5, 97.5])
    return value, float(low), float(high)


def _log_odds(stream: PlayedStream) -> Scores:
    return stream.log_odds


def _sum_of_similarities(stream: PlayedStream) -> Scores:
    return np.asarray(sum(stream.similarity.values(), np.zeros(WINDOWS)), np.float64)


def gain(streams: Sequence[PlayedStream], best: str, random: np.random.Generator) -> tuple[float, float, float]:
    """Return how much higher the fused AUROC is than that of a source, with its interval, by pairs of each stream."""
    each = np.array([auroc(s.log_odds, s.happens) - auroc(s.evidence[best], s.happens) for s in streams])
    means = each[random.integers(len(each), size=(RESAMPLES, len(each)))].mean(1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(each.mean()), float(low), float(high)


def all_texts() -> list[str]:
    """Return every text of the benchmark."""
    own = [(c.prompt, c.chinese, *c.labels, *c.cues, *c.sounds) for c in CONCEPTS]
    return sorted({text for texts in own for text in texts} | {*USUAL_CUES, *USUAL_LABELS, *USUAL_SOUNDS})


def streams_of(
    vectors: TextVectors, language: str, seed: int, missing: Callable[[np.random.Generator], Callable[[str], bool]]
) -> Iterator[PlayedStream]:
    """Play the streams of all concepts, asked for in one language."""
    for index, concept in enumerate(CONCEPTS):
        text = concept.prompt if language == "en" else concept.chinese
        prompt = Prompt(name="asked", texts={language: text})
        timeline = PromptTimeline(
            0,
            [AppendedChange(0, PromptChange(id="1", name="asked", prompt=prompt))],
            PromptVectors(vectors),
            known_until_ns=10**15,
        )
        for number in range(STREAMS_PER_CONCEPT):
            random = np.random.default_rng([seed, index, number])
            make = Generator(vectors.by_text, random)
            yield play(
                concept, timeline, make, random, missing=missing(np.random.default_rng([seed, index, number, 1]))
            )


def report(vectors: TextVectors) -> dict[str, tuple[float, float, float]]:
    """Print the tables, and return the AUROC of each row."""
    random = np.random.default_rng(SEED)
    none = list(streams_of(vectors, "en", SEED, lambda _: lambda _source: False))
    rows: dict[str, tuple[float, float, float]] = {}
    _say(f"{len(none)} streams of {WINDOWS} windows; AUROC (95 % interval), best possible")
    for source in SOURCES:
        rows[source] = measured(none, lambda stream, s=source: stream.evidence[s], random)  # type: ignore[misc]
        _print(source, rows[source], ceiling([source]))
    rows["fused"] = measured(none, _log_odds, random)
    _print("fused", rows["fused"], ceiling(SOURCES))
    rows["sum of similarities"] = measured(none, _sum_of_similarities, random)
    _print("sum of similarities", rows["sum of similarities"], ceiling(SOURCES))
    for name, measure in (
        ("fused, one threshold for all", _log_odds),
        ("sum of similarities, one threshold", _sum_of_similarities),
    ):
        rows[name] = pooled(none, measure, random)
        _print(name, rows[name], None)
    best = max(SOURCES, key=lambda source: rows[source][0])
    _print(f"fused less {best}", gain(none, best, random), ceiling(SOURCES) - ceiling([best]))
    chinese = list(streams_of(vectors, "zh", SEED, lambda _: lambda _source: False))
    rows["fused, asked in Chinese"] = measured(chinese, lambda stream: stream.log_odds, random)
    _print("fused, asked in Chinese", rows["fused, asked in Chinese"], ceiling(SOURCES))
    _say("without one source, and what that costs: measured, and the best possible")
    for source in SOURCES:
        without = list(streams_of(vectors, "en", SEED, lambda _, s=source: lambda o: o == s))  # type: ignore[misc]
        row = measured(without, lambda stream: stream.log_odds, random)
        rows[f"fused without {source}"] = row
        others = [other for other in SOURCES if other != source]
        _print(f"without {source}", row, ceiling(others))
        _say(f"    costs {rows['fused'][0] - row[0]:.3f}, of {ceiling(SOURCES) - ceiling(others):.3f}")
    lossy = list(streams_of(vectors, "en", SEED, lambda drawn: lambda _source: bool(drawn.random() < MISSING)))
    rows["fused, each source missing in 30 %"] = measured(lossy, lambda stream: stream.log_odds, random)
    _print("each source missing in 30 % of the windows", rows["fused, each source missing in 30 %"], None)
    _print_threshold(none)
    _print_usual(none)
    return rows


def rendered_report(seed: int) -> dict[str, tuple[float, float, float]]:
    """Print the table of rendered films, and return the AUROC of each row.

    A source that a film lacks has no evidence and leaves that of the others as it is, so without it the log-odds are
    less its evidence. A film is rendered without each track to check that.
    """
    random = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as scratch:
        studio = rendered_prompts.Studio(Path(scratch))
        streams = [_played(rendered) for rendered in studio.streams(seed)]
        for source in SOURCES:
            (bare,) = map(_played, studio.streams(seed, motifs=rendered_prompts.MOTIFS[:1], films=1, without=source))
            expected = streams[0].log_odds - streams[0].evidence[source]
            _say(f"a film without {source}: log-odds differ by {np.abs(bare.log_odds - expected).max():.4f} at most")
    share = dict.fromkeys(SOURCES, rendered_prompts.SHOWN)
    rows: dict[str, tuple[float, float, float]] = {}
    _say(f"{len(streams)} rendered streams of {rendered_prompts.WINDOWS} windows; AUROC (95 % interval), best possible")
    for source in SOURCES:
        rows[source] = measured(streams, lambda stream, s=source: stream.evidence[s], random)  # type: ignore[misc]
        _print(source, rows[source], ceiling([source], share))
    rows["fused"] = measured(streams, _log_odds, random)
    _print("fused", rows["fused"], ceiling(SOURCES, share))
    best = max(SOURCES, key=lambda source: rows[source][0])
    _print(f"fused less {best}", gain(streams, best, random), ceiling(SOURCES, share) - ceiling([best], share))
    for source in SOURCES:
        others = [other for other in SOURCES if other != source]
        row = measured(streams, lambda stream, s=source: stream.log_odds - stream.evidence[s], random)  # type: ignore[misc]
        rows[f"fused without {source}"] = row
        _print(f"without {source}", row, ceiling(others, share))
        lost = ceiling(SOURCES, share) - ceiling(others, share)
        _say(f"    costs {rows['fused'][0] - row[0]:.3f}, of {lost:.3f}")
    rows["fused, one threshold for all"] = pooled(streams, _log_odds, random)
    _print("fused, one threshold for all", rows["fused, one threshold for all"], None)
    _print_threshold(streams, share)
    return rows


def _played(rendered: RenderedStream) -> PlayedStream:
    """Return what the results of a rendered stream say of its prompt."""
    matches = [(result.matches or {}).get(result.stream) for result in rendered.results]
    evidence = {
        source: np.array([_value(match and getattr(match.evidence, source)) for match in matches]) for source in SOURCES
    }
    similarity = {
        source: np.array(
            [_value(match and match.similarity and getattr(match.similarity, source)) for match in matches]
        )
        for source in SOURCES
    }
    return PlayedStream(
        happens=rendered.happens,
        log_odds=np.array([-np.inf if match is None else match.log_odds for match in matches]),
        evidence=evidence,
        similarity=similarity,
        quantile=np.array([_value(match and match.quantile) for match in matches]),
    )


def _print(name: str, row: tuple[float, float, float], best: float | None) -> None:
    value, low, high = row
    _say(f"  {name:42} {value:.3f} ({low:.3f} to {high:.3f})" + ("" if best is None else f", {best:.3f}"))


def _print_threshold(streams: Sequence[PlayedStream], shown: Mapping[str, float] = SHOWN) -> None:
    """Print precision and recall of the rule `matches['asked'] > .9` after the first 20 windows."""
    happens = np.concatenate([stream.happens[20:] for stream in streams])
    found = np.concatenate([1 / (1 + np.exp(-stream.log_odds[20:])) > THRESHOLD for stream in streams])
    hits = int((found & happens).sum())
    _say(
        f"score > .9: precision {hits / max(int(found.sum()), 1):.3f} of {int(found.sum())}, "
        f"recall {hits / int(happens.sum()):.3f} of {int(happens.sum())}; a source shows it in "
        f"{1 - np.prod([1 - share for share in shown.values()]):.3f} of them"
    )


def _print_usual(streams: Sequence[PlayedStream]) -> None:
    """Print the usual similarities, for `USUAL_OF_SPACE`."""
    for source in SOURCES:
        usual = np.concatenate([stream.similarity[source][~stream.happens] for stream in streams])
        middle = float(np.median(usual))
        spread = 1.4826 * float(np.median(np.abs(usual - middle)))
        _say(f"usual similarity of {source}: median {middle:.3f}, robust deviation {spread:.3f}")


def plot(rows: Mapping[str, tuple[float, float, float]], path: Path, share: Mapping[str, float] = SHOWN) -> None:
    """Draw the AUROC of the rows with their intervals. `share` is the probability with which a source shows it."""
    import matplotlib as mpl  # noqa: PLC0415 - only to draw

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    best = {**{s: ceiling([s], share) for s in SOURCES}, "fused": ceiling(SOURCES, share)}
    best |= {f"fused without {s}": ceiling([o for o in SOURCES if o != s], share) for s in SOURCES}
    names = list(reversed(rows))
    figure, axes = plt.subplots(figsize=(7, 0.4 * len(names) + 1))
    values = np.array([rows[name] for name in names])
    axes.barh(names, values[:, 0], color="#4477aa", height=0.6)
    errors = np.abs(values[:, 1:].T - values[:, 0])
    axes.errorbar(values[:, 0], names, xerr=errors, fmt="none", color="black", capsize=2)
    marked = [name for name in names if name in best]
    axes.plot([best[name] for name in marked], marked, "|", color="#cc3311", markersize=14, label="best possible")
    axes.set(xlim=(0.5, 1.0), xlabel="AUROC, mean of the streams")
    axes.legend(loc="lower right")
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rendered", action="store_true", help="run rendered films through a whole worker")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="also draw the table")
    options = parser.parse_args()
    started_s = time.monotonic()
    if options.rendered:
        _finish(rendered_report(SEED), started_s, options.plot, dict.fromkeys(SOURCES, rendered_prompts.SHOWN))
        return
    space = build_text_space("base")
    if space is None:
        raise SystemExit("the model has no space of texts")
    texts = all_texts()
    vectors = TextVectors("semantic", dict(zip(texts, space.embed_texts(texts), strict=True)))
    _finish(report(vectors), started_s, options.plot, SHOWN)


def _finish(
    rows: Mapping[str, tuple[float, float, float]], started_s: float, file: Path | None, share: Mapping[str, float]
) -> None:
    _say(f"{time.monotonic() - started_s:.0f} s")
    if file is not None:
        plot(rows, file, share)


if __name__ == "__main__":
    main()
