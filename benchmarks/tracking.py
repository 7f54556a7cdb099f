"""How well tracks follow objects, on generated scenes: `python -m benchmarks.tracking`.

People walk through a picture of 1280 x 720 at constant velocity, some stop for a while. Boxes jitter, the detector
misses some of them, and sees some that are not there. Detections pass through results of windows of 2 s, as in a
worker.
It prints, for each rate of pictures and each recall of the detector:

- same: of two sightings of a person one after the other, the share on the same track, with a Wilson interval.
- purity: the share of the detections that belong to the person whom their track mostly follows.
- tracks: tracks that have begun for each person who was seen at least once; 1 is right.
"""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from tests.worker.publishing.test_novelty import TTL_NS, window
from triptych.models.prediction import PredictedDetection
from triptych.training.evaluation.classification import wilson_interval
from triptych.units import NS_PER_S
from triptych.worker.publishing.tracking.counts import count_objects, published_detections
from triptych.worker.publishing.tracking.object_tracks import TrackHistory

WIDTH, HEIGHT = 1280, 720
WINDOWS: Final = 600
PEOPLE_PER_S: Final = 0.15
FALSE_PER_PICTURE: Final = 0.05
SEEDS: Final = range(10, 13)
"""The limits of the tracker were chosen with other seeds."""


@dataclass(frozen=True)
class Walker:
    """Someone who enters at `start_s`: place of the centre, velocity in pixels a second, height, a stop half-way."""

    start_s: float
    x: float
    y: float
    speed: float
    height: float
    stop_s: float

    def box(self, at_s: float) -> tuple[float, float, float, float] | None:
        """Return the box at a time; None before and after the walk."""
        walked_s = at_s - self.start_s
        if walked_s < 0:
            return None
        middle_s = abs(WIDTH / 2 / self.speed)  # stops in the middle of the picture
        moving_s = min(walked_s, middle_s) + max(0.0, walked_s - middle_s - self.stop_s)
        x = self.x + self.speed * moving_s
        if not -0.1 * WIDTH <= x <= 1.1 * WIDTH:
            return None
        half = self.height * 0.2
        left, right = max(0.0, x - half), min(float(WIDTH), x + half)
        return (left, self.y - self.height / 2, right, self.y + self.height / 2) if right - left > half else None


def walkers(random: np.random.Generator, seconds: float) -> list[Walker]:
    """Return people who enter at random times, heights from 80 to 320 pixels, 0.3 to 0.9 heights a second."""
    found = []
    for _ in range(random.poisson(PEOPLE_PER_S * seconds)):
        height = float(random.uniform(80, 320))
        speed = float(random.uniform(0.3, 0.9) * height * random.choice([-1, 1]))
        stop_s = float(random.choice([0, random.uniform(2, 20)]))
        start_s, y = random.uniform(0, seconds), random.uniform(250, 550)
        found.append(Walker(float(start_s), 0.0 if speed > 0 else float(WIDTH), float(y), speed, height, stop_s))
    return found


def detected(
    random: np.random.Generator, people: list[Walker], at_s: float, recall: float
) -> Iterator[tuple[int | None, PredictedDetection]]:
    """Yield what a detector sees in a picture, each with the number of the person; None for what is not there."""
    for number, person in enumerate(people):
        box = person.box(at_s)
        if box is not None and random.random() < recall:
            jitter = random.normal(0, 0.03 * person.height, 4)
            edges = [float(edge + shift) for edge, shift in zip(box, jitter, strict=True)]
            yield (
                number,
                PredictedDetection(round(at_s * NS_PER_S), "person", 0.6, (edges[0], edges[1], edges[2], edges[3])),
            )
    if random.random() < FALSE_PER_PICTURE:
        x, y = float(random.uniform(50, WIDTH - 50)), float(random.uniform(100, HEIGHT - 100))
        yield None, PredictedDetection(round(at_s * NS_PER_S), "person", 0.5, (x - 40, y - 90, x + 40, y + 90))


def followed(seed: int, pictures: int, recall: float) -> list[tuple[int | None, int]]:
    """Return the person and the track of each detection of a scene, in time order."""
    random = np.random.default_rng(seed)
    people = walkers(random, WINDOWS * 2.0)
    history = TrackHistory(TTL_NS)
    outcome: list[tuple[int | None, int]] = []
    for number in range(WINDOWS):
        times_s = [2 * number + (2 * part + 1) / pictures for part in range(pictures)]
        seen = [each for at_s in times_s for each in detected(random, people, at_s, recall)]
        detections = [detection for _, detection in seen]
        counts = count_objects(detections, [round(at_s * NS_PER_S) for at_s in times_s])
        update = {"detections": published_detections(detections), "counts": counts}
        tracked = history.with_tracks(window(number, None).model_copy(update=update))
        outcome += [(person, each.track or 0) for (person, _), each in zip(seen, tracked.detections, strict=True)]
    return outcome


def main() -> None:
    """Print the table."""
    sys.stdout.write(f"{len(SEEDS)} scenes of {WINDOWS * 2 // 60} minutes, {PEOPLE_PER_S * 60:g} people a minute\n")
    for pictures in (1, 2, 4):
        for recall in (1.0, 0.9, 0.7):
            same = pairs = pure = total = begun = people = 0
            for seed in SEEDS:
                outcome = followed(seed, pictures, recall)
                tracks_of: dict[int | None, list[int]] = defaultdict(list)
                people_of: dict[int, Counter[int | None]] = defaultdict(Counter)
                for person, track in outcome:
                    tracks_of[person].append(track)
                    people_of[track][person] += 1
                del tracks_of[None]
                steps = [pair for tracks in tracks_of.values() for pair in pairwise(tracks)]
                same, pairs = same + sum(one == other for one, other in steps), pairs + len(steps)
                pure += sum(counted.most_common(1)[0][1] for counted in people_of.values())
                total += len(outcome)
                begun += sum(set(counted) != {None} for counted in people_of.values())
                people += len(tracks_of)
            interval = wilson_interval(same / pairs, pairs)
            sys.stdout.write(
                f"a picture every {2 / pictures:3.1f} s, recall {recall:.1f}: same {same / pairs:.3f} "
                f"({interval.low:.3f} to {interval.high:.3f}), purity {pure / total:.3f}, "
                f"tracks {begun / people:.2f} of {people}\n"
            )


if __name__ == "__main__":
    main()
