import type { JSX } from "preact";

interface SparklineProps {
  readonly values: readonly (number | null)[];
  readonly low: number;
  readonly high: number;
  readonly series: "speech" | "loudness" | "novelty";
  readonly label: string;
  readonly text: string;
}

const WIDTH = 120;
const HEIGHT = 24;
const POINTS = 60;

/** A line of the last windows; a gap where a window has no value. The newest value stands beside it as text. */
export function Sparkline({ values, low, high, series, label, text }: SparklineProps): JSX.Element {
  const line = pathOf(values, low, high);
  return (
    <div class={`sparkline series-${series}`}>
      <span class="sparkline-label">{label}</span>
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true" focusable="false">
        <path d={line.area} class="sparkline-area" />
        <path d={line.stroke} class="sparkline-line" vector-effect="non-scaling-stroke" />
      </svg>
      <span class="sparkline-value">{text}</span>
    </div>
  );
}

function pathOf(values: readonly (number | null)[], low: number, high: number): { stroke: string; area: string } {
  const step = WIDTH / (POINTS - 1);
  const first = POINTS - values.length; // fewer windows stand at the right, where the newest is
  let stroke = "";
  let area = "";
  let begin: number | null = null;
  let x = 0;
  values.forEach((value, index) => {
    if (value === null) {
      if (begin !== null) area += `L${x.toFixed(1)} ${HEIGHT}Z`;
      begin = null;
      return;
    }
    x = (first + index) * step;
    const share = Math.min(1, Math.max(0, (value - low) / (high - low)));
    const y = (HEIGHT - 1 - share * (HEIGHT - 2)).toFixed(1);
    if (begin === null) {
      begin = x;
      stroke += `M${x.toFixed(1)} ${y}`;
      area += `M${x.toFixed(1)} ${HEIGHT}L${x.toFixed(1)} ${y}`;
    } else {
      stroke += `L${x.toFixed(1)} ${y}`;
      area += `L${x.toFixed(1)} ${y}`;
    }
  });
  if (begin !== null) area += `L${x.toFixed(1)} ${HEIGHT}Z`;
  return { stroke, area };
}
