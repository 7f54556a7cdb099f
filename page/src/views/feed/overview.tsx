import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { TimelineWindow } from "../../api/shapes";
import { shownTheme } from "../../state/preferences";
import { formats } from "../../text/format";
import { messages } from "../../text/messages";
import { colour } from "./palette";
import { centred, shareOf, spanOf, type TimeRange } from "./range";

const HEIGHT = 34;

interface OverviewProps {
  readonly windows: readonly TimelineWindow[];
  readonly bounds: TimeRange;
  readonly range: TimeRange;
  readonly width: number;
  readonly onRange: (range: TimeRange) => void;
}

/** All that is kept of the feed in one line; the part in view is marked. Pressing or dragging moves the view there. */
export function Overview({ windows, bounds, range, width, onRange }: OverviewProps): JSX.Element {
  const m = messages.value;
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    if (canvas.current && width > 0) draw(canvas.current, windows, bounds, width);
  }, [windows, bounds, width, shownTheme.value]);
  const left = Math.max(0, Math.min(1, shareOf(range.fromMs, bounds)));
  const right = Math.max(left, Math.min(1, shareOf(range.toMs, bounds)));
  const moveTo = (event: PointerEvent): void => {
    if (event.buttons !== 1 && event.type !== "pointerdown") return;
    const box = (event.currentTarget as HTMLElement).getBoundingClientRect();
    const share = Math.min(1, Math.max(0, (event.clientX - box.left) / Math.max(1, box.width)));
    onRange(centred(bounds.fromMs + share * spanOf(bounds), spanOf(range)));
  };
  return (
    <div
      class="overview"
      role="img"
      aria-label={`${m.overview}: ${m.range_shown(formats.value.moment(bounds.fromMs), formats.value.moment(bounds.toMs))}`}
      onPointerDown={(event) => {
        event.currentTarget.setPointerCapture(event.pointerId);
        moveTo(event);
      }}
      onPointerMove={moveTo}
    >
      <canvas ref={canvas} style={{ width: `${width}px`, height: `${HEIGHT}px` }} />
      <div class="overview-view" style={{ left: `${left * 100}%`, width: `max(3px, ${(right - left) * 100}%)` }} />
    </div>
  );
}

/** Bars of loudness, and above them marks of matches and novelty. */
function draw(canvas: HTMLCanvasElement, windows: readonly TimelineWindow[], bounds: TimeRange, width: number): void {
  const ratio = Math.min(devicePixelRatio, 2);
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(HEIGHT * ratio);
  const context = canvas.getContext("2d");
  if (!context) return;
  context.scale(ratio, ratio);
  const fills = { sound: colour("--other-sound"), match: colour("--match"), novelty: colour("--novelty") };
  for (const { start_ms, end_ms, loudness, novelty, matches } of windows) {
    const x = shareOf(start_ms, bounds) * width;
    const wide = Math.max(1, shareOf(end_ms, bounds) * width - x);
    const level = loudness === null ? 0.04 : Math.min(1, Math.max(0.06, (loudness + 60) / 55));
    context.fillStyle = fills.sound;
    context.fillRect(x, HEIGHT - level * (HEIGHT - 10), wide, level * (HEIGHT - 10));
    const best = Math.max(0, ...Object.values(matches));
    if (best >= 0.5) {
      context.fillStyle = fills.match;
      context.fillRect(x, 1, Math.max(2, wide), 4);
    } else if ((novelty ?? 0) >= 0.7) {
      context.fillStyle = fills.novelty;
      context.fillRect(x, 1, Math.max(2, wide), 4);
    }
  }
}
