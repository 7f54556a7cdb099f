"""The page that explains a clip: `explanation.png`, and `explanation.html` with the same image and all text."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template
from typing import Final

from triptych.explaining.drawing import COLOURS, draw
from triptych.explaining.windows import ExplainedWindow, word_scores
from triptych.units import NS_PER_S

_FOR: Final = "214,39,40"
_AGAINST: Final = "31,119,180"
_TEMPLATE: Final = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>$clip explained</title><style>
body { font: 15px/1.45 system-ui, sans-serif; max-width: 76rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
img { width: 100%; height: auto } table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .35rem .6rem; border-top: 1px solid #ddd; vertical-align: top }
.bar { display: flex; height: 1rem; width: 12rem } .bar span { height: 100% }
.words span { padding: 0 .15rem; border-radius: .2rem } small { color: #666 }
</style></head><body>
<h1>$clip</h1>
<p>$model <small>sha256 $sha256</small></p>
<p>$legend</p>
<img alt="Shares of the modalities along the clip, contributions of time slices, and some windows in detail"
 src="data:image/png;base64,$image">
<table><thead><tr><th>seconds</th><th>prediction</th><th>shares</th><th>when</th><th>words</th></tr></thead>
<tbody>
$rows
</tbody></table>
<p><small>Shares and time slices are exact Shapley values of the label's score. Pixels, spectrum and words are coloured
by integrated gradients: red counts for the label, blue against it. Attention shows where the network looked, not what
decided.</small></p>
</body></html>
""")


@dataclass(frozen=True, slots=True)
class Page:
    """The content of a page.

    Attributes:
        clip: name of the clip.
        model: name and version of the model.
        sha256: checksum of the model.
        begin_ns: event time of the start of the clip.
        windows: the windows in order, at least one.
    """

    clip: str
    model: str
    sha256: str
    begin_ns: int
    windows: tuple[ExplainedWindow, ...]


def write_page(page: Page, folder: Path) -> tuple[Path, Path]:
    """Write both files and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    image, document = folder / "explanation.png", folder / "explanation.html"
    draw(page.windows, page.begin_ns, f"{page.clip} · {page.model}", image)
    document.write_text(
        _TEMPLATE.substitute(
            clip=escape(page.clip),
            model=escape(page.model),
            sha256=page.sha256,
            legend=" ".join(f'<b style="color:{colour}">■ {name}</b>' for name, colour in COLOURS.items()),
            image=base64.b64encode(image.read_bytes()).decode(),
            rows="\n".join(_row(explained, page.begin_ns) for explained in page.windows),
        ),
        encoding="utf-8",
    )
    return image, document


def _row(explained: ExplainedWindow, begin_ns: int) -> str:
    start_s, end_s = (
        (time_ns - begin_ns) / NS_PER_S for time_ns in (explained.window.start_ns, explained.window.end_ns)
    )
    bars = "".join(
        f'<span style="width:{share:.1%};background:{COLOURS[name]}" title="{name} {share:.0%}"></span>'
        for name, share in (explained.prediction.shares or {}).items()
    )
    slices = " ".join(f"{one.contribution:+.2f}" for one in explained.prediction.when)
    cells = (
        f"{start_s:g} to {end_s:g}",
        escape(best_answer(explained)),
        f'<div class="bar">{bars}</div>',
        slices,
        _words(explained),
    )
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def best_answer(explained: ExplainedWindow) -> str:
    """Return the best label of the first head with its score."""
    head, scores = next(iter((explained.prediction.predictions or {}).items()), ("", ()))
    return f"{head}: {scores[0].label} {scores[0].score:.2f}" if scores else "nothing"


def _words(explained: ExplainedWindow) -> str:
    if explained.detail is None:
        return escape(" / ".join(cue.text for cue in explained.window.cues))
    scored = word_scores(explained.detail)
    most = max((abs(score) for _, score in scored), default=0.0) or 1.0
    spans = " ".join(
        f'<span style="background:rgba({_FOR if score > 0 else _AGAINST},{abs(score) / most * 0.6:.2f})" '
        f'title="{score:+.3f}">{escape(word)}</span>'
        for word, score in scored
    )
    gap = f"error of the sum of all attributions: {explained.detail.gradients.gap:.3f}"
    return f'<div class="words">{spans}</div><small>{gap}</small>'
