"""Draw the explanation of a clip: an overview of the whole clip, and some windows in detail."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from triptych.explaining.gradients import Floats
from triptych.explaining.windows import ExplainedWindow, WindowDetail, word_scores
from triptych.units import NS_PER_S

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure
    from matplotlib.gridspec import GridSpec

COLOURS: Final = {"video": "#3b6ea8", "audio": "#d98032", "subtitles": "#5a9a57"}
_TOKENS_OF: Final = {"video": "video", "audio": "audio", "text": "subtitles"}
_INCHES_WIDE: Final = 12.0
_OVERVIEW_INCHES: Final = 4.2
_DETAIL_INCHES: Final = 8.5
_MAX_LABELS: Final = 24
"""Maximum number of windows with labels; more labels would overlap. Also the maximum length of a word."""
_FRAMES: Final = 2
_MAX_WORDS: Final = 14
_MIN_WORD_RANGE: Final = 0.05
"""Minimum range of the word axis, so that small contributions look small."""
_MIN_WORD_ROWS: Final = 5
_FFT: Final = 512
_HOP: Final = 256


def draw(windows: Sequence[ExplainedWindow], begin_ns: int, heading: str, file: Path) -> None:
    """Write the drawing to a PNG file.

    Args:
        windows: the windows in order, at least one.
        begin_ns: event time of the start of the clip.
        heading: title of the drawing.
        file: the file to write.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415 - slow to import

    detailed = [explained for explained in windows if explained.detail is not None]
    height = _OVERVIEW_INCHES + (_DETAIL_INCHES if detailed else 0)
    figure = Figure(figsize=(_INCHES_WIDE, height), layout="constrained")
    figure.suptitle(heading, fontsize=13)
    if detailed:
        rows = figure.add_gridspec(2, 1, height_ratios=(_OVERVIEW_INCHES, _DETAIL_INCHES))
        top, bottom = figure.add_subfigure(rows[0]), figure.add_subfigure(rows[1])
        columns = bottom.add_gridspec(1, len(detailed))
        _draw_clip(top.subplots(2, 1, sharex=True, height_ratios=(3, 2)), windows, begin_ns)
        for column, explained in enumerate(detailed):
            _draw_detail(bottom.add_subfigure(columns[0, column]), explained, begin_ns)
    else:
        _draw_clip(figure.subplots(2, 1, sharex=True, height_ratios=(3, 2)), windows, begin_ns)
    with warnings.catch_warnings():
        # The font may lack glyphs of some scripts. The HTML page contains the words in any case.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing")
        figure.savefig(file, dpi=110)


def _draw_clip(axes: Sequence[Axes], windows: Sequence[ExplainedWindow], begin_ns: int) -> None:
    share_axes, when_axes = axes
    starts = np.array([(explained.window.start_ns - begin_ns) / NS_PER_S for explained in windows])
    widths = np.array([(explained.window.end_ns - explained.window.start_ns) / NS_PER_S for explained in windows])
    below = np.zeros(len(windows))
    for name, colour in COLOURS.items():
        shares = np.array([(explained.prediction.shares or {}).get(name, 0.0) for explained in windows])
        share_axes.bar(starts, shares, widths * 0.96, bottom=below, align="edge", color=colour, label=name)
        below += shares
    if len(windows) <= _MAX_LABELS:
        for explained, start, width in zip(windows, starts, widths, strict=True):
            share_axes.text(start + width / 2, 1.03, _label(explained), ha="center", fontsize=8)
    share_axes.set(xlim=(starts[0], starts[-1] + widths[-1]), ylim=(0, 1.14), ylabel="share of modality")
    share_axes.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    share_axes.spines[["top", "right"]].set_visible(False)
    slices = [one for explained in windows for one in explained.prediction.when]
    when_axes.bar(
        [(one.start_ns - begin_ns) / NS_PER_S for one in slices],
        [one.contribution for one in slices],
        [(one.end_ns - one.start_ns) / NS_PER_S * 0.9 for one in slices],
        align="edge", color=["#b03a3a" if one.contribution > 0 else "#3a5fb0" for one in slices],
    )  # fmt: skip
    when_axes.axhline(0, color="black", linewidth=0.6)
    when_axes.set(ylabel="contribution", xlabel="seconds")
    when_axes.spines[["top", "right"]].set_visible(False)


def _label(explained: ExplainedWindow) -> str:
    scores = next(iter((explained.prediction.predictions or {}).values()), ())
    return f"{scores[0].label}\n{scores[0].score:.2f}" if scores else ""


def _draw_detail(part: SubFigure, explained: ExplainedWindow, begin_ns: int) -> None:
    detail = explained.detail
    if detail is None:
        return
    start_s = (explained.window.start_ns - begin_ns) / NS_PER_S
    part.suptitle(f"{start_s:g} s: {_label(explained).replace(chr(10), ' ')}", fontsize=11)
    grid = part.add_gridspec(5, _FRAMES, height_ratios=(1, 1, 1, 1.5, 0.8))
    _draw_frames(part, grid, explained, detail.gradients.pixels)
    spectrum = part.add_subplot(grid[2, :])
    _draw_spectrum(spectrum, explained, detail.gradients.spectrum)
    _draw_words(part.add_subplot(grid[3, :]), detail)
    _draw_rollout(part.add_subplot(grid[4, :]), explained, detail)


def _draw_frames(part: SubFigure, grid: GridSpec, explained: ExplainedWindow, pixels: Floats | None) -> None:
    frames = explained.window.frames_hwc_u8
    chosen = np.linspace(0, len(frames) - 1, min(_FRAMES, len(frames))).round().astype(int)
    most = float(np.abs(pixels).max()) or 1.0 if pixels is not None else 1.0
    for column in range(_FRAMES):
        for row in range(2):
            axes = part.add_subplot(grid[row, column])
            axes.set_axis_off()
            if column >= len(chosen):
                if row == column == 0:
                    axes.text(0, 0.5, "no video", color="grey")
                continue
            frame = frames[chosen[column]]
            if row == 0 or pixels is None:
                axes.imshow(frame)
                axes.set_title(
                    f"{(explained.window.frame_times_ns[chosen[column]] - explained.window.start_ns) / NS_PER_S:.2f} s",
                    fontsize=8,
                )
                continue
            axes.imshow(frame.mean(-1), cmap="gray", alpha=0.35, vmin=0, vmax=255)
            axes.imshow(_smooth(pixels[chosen[column]]), cmap="RdBu_r", vmin=-most / 2, vmax=most / 2, alpha=0.75)


def _draw_spectrum(axes: Axes, explained: ExplainedWindow, found: Floats | None) -> None:
    axes.set_title("audio", fontsize=9, loc="left")
    if found is None:
        axes.text(0.02, 0.5, "no audio", color="grey")
        axes.set_axis_off()
        return
    samples = explained.window.audio_f32
    length_s = (explained.window.end_ns - explained.window.start_ns) / NS_PER_S
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(samples, _FFT // 2), _FFT)[::_HOP]
    level = np.log(np.abs(np.fft.rfft(frames * np.hanning(_FFT), axis=1)) + 1e-3).T
    top_khz = len(samples) / length_s / 2_000
    extent = (0.0, length_s, 0.0, top_khz)
    axes.imshow(level, origin="lower", aspect="auto", extent=extent, cmap="gray_r", alpha=0.6)
    most = float(np.quantile(np.abs(found), 0.999)) or 1.0
    axes.imshow(
        found, origin="lower", aspect="auto", extent=extent, cmap="RdBu_r", vmin=-most, vmax=most,
        alpha=np.clip(np.abs(found) / most, 0, 1),
    )  # fmt: skip
    axes.set_ylabel("kHz", fontsize=8)
    axes.tick_params(labelsize=7)


def _draw_words(axes: Axes, detail: WindowDetail) -> None:
    axes.set_title("words", fontsize=9, loc="left")
    scored = word_scores(detail)[:_MAX_WORDS]
    if not scored:
        axes.text(0.02, 0.5, "no words", color="grey")
        axes.set_axis_off()
        return
    positions = range(len(scored))
    scores = [score for _, score in scored]
    axes.barh(positions, scores, color=["#b03a3a" if score > 0 else "#3a5fb0" for score in scores])
    axes.set_yticks(positions, [word if len(word) <= _MAX_LABELS else f"{word[:_MAX_LABELS]}…" for word, _ in scored])
    axes.tick_params(labelsize=7)
    most = max(_MIN_WORD_RANGE, *(abs(score) for score in scores)) * 1.05
    axes.set_xlim(-most if min(scores) < 0 else 0, most)
    axes.set_ylim(max(len(scored), _MIN_WORD_ROWS) - 0.5, -0.5)
    axes.axvline(0, color="black", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_rollout(axes: Axes, explained: ExplainedWindow, detail: WindowDetail) -> None:
    axes.set_title("attention rollout", fontsize=9, loc="left")
    if detail.rollout is None:
        axes.text(0.02, 0.5, "not available for this fusion", color="grey")
        axes.set_axis_off()
        return
    length_s = (explained.window.end_ns - explained.window.start_ns) / NS_PER_S
    for modality, tokens in detail.rollout.items():
        name = _TOKENS_OF[modality]
        weights = [token.weight for token in tokens]
        axes.vlines([token.time * length_s for token in tokens], 0, weights, color=COLOURS[name], linewidth=2.5)
    axes.set(xlim=(0, length_s), ylim=(0, None))
    axes.set_xlabel("seconds of the window", fontsize=8)
    axes.tick_params(labelsize=7)
    axes.spines[["top", "right"]].set_visible(False)


def _smooth(pixels: Floats) -> Floats:
    """Blur a map float32 [H, W] with a box filter, because gradients of single pixels are noisy."""
    import cv2  # noqa: PLC0415 - needed here alone

    side = max(3, pixels.shape[0] // 12 | 1)
    smoothed: Floats = cv2.blur(pixels, (side, side)).astype(np.float32)
    return smoothed
