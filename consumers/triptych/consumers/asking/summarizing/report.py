"""A summary as Markdown. Texts from the feeds are shown as they are, with what Markdown would interpret escaped."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from triptych.consumers.asking.lookup import Occurrence
from triptych.consumers.asking.summarizing.summary import HourSummary, ThingSummary
from triptych.consumers.asking.wording import shown_time
from triptych.terminal_text import printable

_SPECIAL: Final = re.compile(r"([\\`*_{}\[\]<>()#+!|~&])")
_LISTED: Final = 8


def report(
    stream: str,
    hours: Sequence[HourSummary],
    pictures: Mapping[int, str],
    worded: Mapping[int, str],
    notes: Iterable[str] = (),
) -> str:
    """Return a report.

    Args:
        stream: the stream.
        hours: its hours, in order.
        pictures: names of picture files beside the report, by the start of the hour.
        worded: what a language model wrote of an hour, with the numbers of its sources, by the start of the hour.
        notes: what the reader should know about the report.
    """
    lines = [f"# {escaped(stream)}", ""]
    if hours:
        number = f"{len(hours)} hour{'s' * (len(hours) > 1)}"
        lines += [f"{shown_time(hours[0].start_ns)} to {shown_time(hours[-1].end_ns)} UTC, {number}.", ""]
    else:
        lines += ["The index holds nothing of this stream and time.", ""]
    lines += [f"> {escaped(note)}" for note in notes]
    for hour in hours:
        lines += ["", f"## {shown_time(hour.start_ns)}", ""]
        if hour.start_ns in worded:
            lines += [worded[hour.start_ns], ""]
        if hour.start_ns in pictures:
            shown_ns = hour.start_ns if hour.best_moment is None else hour.best_moment.start_ns
            lines += [f"![{escaped(stream)} at {shown_time(shown_ns)}]({pictures[hour.start_ns]})", ""]
        lines += _hour_lines(hour)
    return "\n".join(lines).rstrip() + "\n"


def escaped(text: str) -> str:
    """Return a text of a feed as one line that Markdown shows as it is."""
    return _SPECIAL.sub(r"\\\1", printable(" ".join(text.split())))


def cited_quotes(text: str, sources: Mapping[int, Occurrence]) -> str:
    """Return a text of a model, and under it the results behind its numbers."""
    lines = [f"{escaped(text)}", ""]
    lines += [f"- \\[{number}\\] {shown_time(one.start_ns)}: `{one.results[0]}`" for number, one in sources.items()]
    return "\n".join(lines)


def _hour_lines(hour: HourSummary) -> list[str]:
    lines = []
    if hour.people is not None:
        lines.append(f"- **People**: at most {hour.people.most}, {_often(hour.people)}")
    for heading, things in (("Seen", hour.things), ("Heard", hour.sounds), ("Prompts matched", hour.prompts)):
        if things:
            lines.append(f"- **{heading}**: {'; '.join(_thing(thing) for thing in things[:_LISTED])}{_more(things)}")
    if hour.cues:
        lines.append(f"- **Said**: {len(hour.cues)} cues")
        lines += [f"    - {shown_time(cue.start_ns)[11:]} {escaped(cue.text)}" for cue in hour.first_lines]
    if hour.phrases:
        phrases = ", ".join(f"{escaped(phrase)} ({number})" for phrase, number in hour.phrases)
        lines.append(f"- **Said several times**: {phrases}")
    if hour.titles:
        lines.append(f"- **Described**: {'; '.join(escaped(title.text) for title in hour.titles[:_LISTED])}")
    if hour.troubles:
        lines.append(f"- **Quality**: {'; '.join(_thing(trouble) for trouble in hour.troubles)}")
    return lines or ["Nothing was seen, heard or said."]


def _thing(thing: ThingSummary) -> str:
    most = "" if thing.most is None else f", at most {thing.most}"
    return f"{escaped(thing.name)} ({_often(thing)}{most})"


def _often(thing: ThingSummary) -> str:
    number = len(thing.moments)
    return f"{number} {'moment' if number == 1 else 'moments'}, {thing.seconds:g} s, first at {_first_time(thing)}"


def _first_time(thing: ThingSummary) -> str:
    return shown_time(thing.moments[0].start_ns)[11:]


def _more(things: Sequence[ThingSummary]) -> str:
    return f"; and {len(things) - _LISTED} more" if len(things) > _LISTED else ""
