"""The same tasks in Frigate 0.18.0 (`blakeblackshear/frigate`, commit e3fa7018), read from its source and its docs.

Frigate was not run. Steps begin at its first view (Live), with what a task needs set up as its docs say. Waits are
those that its code asks for; what its machine takes is not known. Sources are files below `web/src/`; those below
`configuration/` are pages of its docs. Turns of the mouse wheel count as one key each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from benchmarks.page_tasks.keystroke_model import TaskStep
from benchmarks.page_tasks.page_tasks import FIND_CAUSE, FIND_WORD, REVIEW
from benchmarks.page_tasks.task_feeds import REVIEWED, SAID_WORD

_CLICK: Final = "PBB"
_EVENT_S: Final = 10.0
"""How long an event lasts, for the preview: an assumption, since ours are made up."""
_PREVIEW_PADDING_S: Final = 32.0
_PREVIEW_SPEED: Final = 8.0
_HOVER_S: Final = 0.5
_PREVIEW_HALF_S: Final = (_EVENT_S + _PREVIEW_PADDING_S) / 2 / _PREVIEW_SPEED
"""After half of its preview a card counts as reviewed (`components/preview/ScrubbablePreview.tsx`)."""
_SCROLLS: Final = 2
"""Three columns, and three whole rows of a window 1,000 pixels high: the second and third screen of twenty cards."""


@dataclass(frozen=True, slots=True)
class FrigateTask:
    """One way to do a task in Frigate. `sources` says where the steps are read; `limits` what it does not give."""

    task: str
    way: str
    steps: tuple[TaskStep, ...]
    sources: tuple[str, ...]
    limits: str


FRIGATE_TASKS: Final = (
    FrigateTask(
        FIND_WORD,
        "search, if the speech was transcribed before",
        (
            TaskStep("open Explore", "M" + _CLICK),
            TaskStep("click into the search", _CLICK),
            TaskStep("type the word", "MH" + "K" * len(SAID_WORD)),
            TaskStep("search", "K"),
            TaskStep("open the thumbnail of the speech event", "MH" + _CLICK),
            TaskStep("choose Tracking Details, which plays the recording", "M" + _CLICK),
        ),
        (
            "configuration/audio_detectors.md",
            "components/input/InputWithTags.tsx",
            "components/overlay/detail/SearchDetailDialog.tsx",
            "components/overlay/detail/TrackingDetails.tsx",
            "pages/Explore.tsx",
        ),
        "ranked by similarity, not by the word; plays from the beginning of the speech event, not from the word",
    ),
    FrigateTask(
        FIND_WORD,
        "for each speech event that was not transcribed",
        (
            TaskStep("open the speech event in Explore", "M" + _CLICK),
            TaskStep("press the microphone", "M" + _CLICK),
        ),
        ("configuration/audio_detectors.md", "components/overlay/detail/SearchDetailDialog.tsx"),
        "one event at a time, and the wait is that of its speech model. Speech outside of `speech` events: not at all",
    ),
    FrigateTask(
        FIND_CAUSE,
        "mouse",
        (
            TaskStep("see the camera's overlay", "M"),
            TaskStep("click its message in the status bar, which opens the logs", _CLICK),
            TaskStep("find the line of the camera", "M"),
        ),
        ("components/player/LivePlayer.tsx", "hooks/use-stats.ts", "components/Statusbar.tsx", "pages/Logs.tsx"),
        "the log is that of all cameras, in lines of text",
    ),
    FrigateTask(
        REVIEW,
        "look at each, by its preview",
        (
            TaskStep("open Review", "M" + _CLICK),
            *(TaskStep(f"look at card {number + 1}", "MP", _HOVER_S + _PREVIEW_HALF_S) for number in range(REVIEWED)),
            TaskStep("scroll on", "K" * _SCROLLS),
        ),
        (
            "components/player/PreviewThumbnailPlayer.tsx",
            "components/preview/ScrubbablePreview.tsx",
            "views/events/EventView.tsx",
        ),
        "marks as seen; keeps no judgement",
    ),
    FrigateTask(
        REVIEW,
        "all at once, mouse",
        (
            TaskStep("open Review", "M" + _CLICK),
            TaskStep("scroll to the end", "K" * _SCROLLS),
            TaskStep("click Mark these items as reviewed", "M" + _CLICK),
        ),
        ("views/events/EventView.tsx", "pages/Events.tsx"),
        "marks as seen; keeps no judgement",
    ),
    FrigateTask(
        REVIEW,
        "all at once, keyboard",
        (
            TaskStep("open Review", "M" + _CLICK),
            TaskStep("choose all, mark as reviewed", "MH" + "KK" + "K"),
        ),
        ("views/events/EventView.tsx", "hooks/use-keyboard-listener.tsx"),
        "marks as seen; keeps no judgement. There is no key to open a view",
    ),
)
