import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { shownTheme } from "../../state/preferences";
import { colour } from "./palette";
import type { TimeRange } from "./range";

export interface PlotSeries {
  readonly name: string;
  /** A variable of the style sheets. */
  readonly variable: string;
  readonly values: readonly (number | null)[];
  readonly isFilled?: boolean;
}

interface PlotProps {
  readonly range: TimeRange;
  readonly width: number;
  readonly height: number;
  readonly times: readonly number[];
  readonly series: readonly PlotSeries[];
  readonly low: number;
  readonly high: number;
  /** Draw a value as long as its window lasts, not a line between windows. */
  readonly isStepped?: boolean;
}

/** A chart of several series over the range. It takes no pointer: the lanes share their gestures. */
export function Plot({ range, width, height, times, series, low, high, isStepped = false }: PlotProps): JSX.Element {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const shape = series
    .map(({ name, variable, isFilled }) => `${name}\u0000${variable}\u0000${isFilled}`)
    .join("\u0001");

  useEffect(() => {
    if (!place.current || width === 0) return;
    const made = new uPlot(optionsOf(width, height, series, low, high, isStepped), [[]], place.current);
    plot.current = made;
    return () => {
      made.destroy();
      plot.current = null;
    };
    // `shape` stands for the series without their values.
  }, [width, height, shape, low, high, isStepped, shownTheme.value]);

  useEffect(() => {
    const data = [times, ...series.map(({ values }) => values)] as unknown as uPlot.AlignedData;
    plot.current?.setData(data, false);
    plot.current?.setScale("x", { min: range.fromMs, max: range.toMs });
  });

  return <div class="plot" ref={place} aria-hidden="true" />;
}

function optionsOf(
  width: number,
  height: number,
  series: readonly PlotSeries[],
  low: number,
  high: number,
  isStepped: boolean,
): uPlot.Options {
  const paths = isStepped ? uPlot.paths.stepped?.({ align: 1 }) : uPlot.paths.linear?.();
  return {
    width,
    height,
    ms: 1,
    padding: [2, 0, 1, 0],
    legend: { show: false },
    cursor: { show: false },
    axes: [{ show: false }, { show: false }],
    scales: { x: { time: true, auto: false }, y: { range: [low, high] } },
    series: [
      {},
      ...series.map(({ name, variable, isFilled }): uPlot.Series => {
        const stroke = colour(variable);
        return {
          label: name,
          stroke,
          width: 1.5,
          points: { show: false },
          ...(paths ? { paths } : {}),
          ...(isFilled ? { fill: stroke, width: 0 } : {}),
        };
      }),
    ],
  };
}
