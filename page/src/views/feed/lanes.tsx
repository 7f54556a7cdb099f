import type { ComponentChildren, JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { TimelineWindow } from "../../api/shapes";
import { pictureAddress } from "../../components/picture";
import { shownTheme } from "../../state/preferences";
import { formats } from "../../text/format";
import { messages } from "../../text/messages";
import { colour, SERIES_VARIABLES } from "./palette";
import { Plot, type PlotSeries } from "./plot";
import { shareOf, spanOf, stepOf, type TimeRange, ticksOf } from "./range";

const THUMBNAIL_WIDTH = 114;
const LOUDNESS_LOW = -60;
const LOUDNESS_HIGH = -5;
const MAX_SERIES = SERIES_VARIABLES.length;
const CUE_ROWS = 2;
const CUE_PIXELS_PER_LETTER = 6.6;

export interface LaneProps {
  readonly windows: readonly TimelineWindow[];
  readonly range: TimeRange;
  readonly width: number;
  /** The window below the pointer, or the chosen one: its values stand in the titles. */
  readonly shown: TimelineWindow | null;
}

interface LegendEntry {
  readonly name: string;
  readonly variable?: string;
  readonly value: string;
}

interface LaneFrameProps {
  readonly title: string;
  readonly height: number;
  readonly legend?: readonly LegendEntry[];
  readonly children: ComponentChildren;
}

function Lane({ title, height, legend = [], children }: LaneFrameProps): JSX.Element {
  return (
    <div class="lane">
      <div class="lane-title">
        <b>{title}</b>
        {legend.map(({ name, variable, value }) => (
          <span key={name} class="lane-value">
            {variable && <i style={{ background: `var(${variable})` }} />}
            <bdi>{name}</bdi> {value}
          </span>
        ))}
      </div>
      <div class="lane-body" style={{ height: `${height}px` }}>
        {children}
      </div>
    </div>
  );
}

export function TimeLane({ range, width }: { range: TimeRange; width: number }): JSX.Element {
  const ticks = ticksOf(range, width, 96);
  return (
    <div class="lane lane-time" aria-hidden="true">
      {ticks.map((at) => (
        <span key={at} style={{ left: `${shareOf(at, range) * 100}%` }}>
          {formats.value.clock(at)}
        </span>
      ))}
    </div>
  );
}

/** Thumbnails at round times, so that they stay where they are while one drags. */
export function PictureLane({ windows, range, width }: LaneProps): JSX.Element {
  const stepMs = stepOf((spanOf(range) * THUMBNAIL_WIDTH) / Math.max(1, width));
  const first = Math.floor(range.fromMs / stepMs) * stepMs;
  const shown: JSX.Element[] = [];
  for (let at = first; at < range.toMs; at += stepMs) {
    const window = windows.find((each) => each.picture !== null && each.end_ms > at && each.start_ms < at + stepMs);
    if (!window?.picture) continue;
    shown.push(
      <img
        key={at}
        src={pictureAddress(window.picture, THUMBNAIL_WIDTH)}
        alt=""
        draggable={false}
        style={{ left: `${shareOf(at, range) * 100}%`, width: `${(stepMs / spanOf(range)) * 100}%` }}
      />,
    );
  }
  return (
    <Lane title={messages.value.pictures} height={64}>
      <div class="strip">{shown}</div>
    </Lane>
  );
}

/** The loudness of each window as an outline, coloured by what is heard: speech, music, neither. */
export function SoundLane({ windows, range, width, shown }: LaneProps): JSX.Element {
  const m = messages.value;
  const f = formats.value;
  const height = 56;
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    if (canvas.current && width > 0) drawSound(canvas.current, windows, range, width, height);
  }, [windows, range, width, shownTheme.value]);
  return (
    <Lane
      title={m.sound}
      height={height}
      legend={[
        { name: m.speech, variable: "--speech", value: shareText(shown?.speech, f.percent) },
        { name: m.music, variable: "--music", value: shareText(shown?.music, f.percent) },
        { name: "LUFS", variable: "--other-sound", value: shareText(shown?.loudness, (value) => value.toFixed(1)) },
      ]}
    >
      <canvas ref={canvas} style={{ width: `${width}px`, height: `${height}px` }} />
    </Lane>
  );
}

function drawSound(
  canvas: HTMLCanvasElement,
  windows: readonly TimelineWindow[],
  range: TimeRange,
  width: number,
  height: number,
): void {
  const ratio = Math.min(devicePixelRatio, 2);
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const context = canvas.getContext("2d");
  if (!context) return;
  context.scale(ratio, ratio);
  const colours = { speech: colour("--speech"), music: colour("--music"), other: colour("--other-sound") };
  const middle = height / 2;
  for (const { start_ms, end_ms, loudness, speech, music } of windows) {
    if (loudness === null || end_ms < range.fromMs || start_ms > range.toMs) continue;
    const left = shareOf(start_ms, range) * width;
    const right = shareOf(end_ms, range) * width;
    const level = Math.min(1, Math.max(0.03, (loudness - LOUDNESS_LOW) / (LOUDNESS_HIGH - LOUDNESS_LOW)));
    const half = level * (middle - 4);
    const wide = Math.max(1, right - left - (right - left > 5 ? 1 : 0));
    // From the middle outwards: speech, music, the rest, each as thick as its share.
    const spoken = Math.min(1, speech ?? 0);
    const played = Math.min(1 - spoken, music ?? 0);
    let inner = 0;
    for (const [share, fill] of [
      [spoken, colours.speech],
      [played, colours.music],
      [1 - spoken - played, colours.other],
    ] as const) {
      if (share <= 0) continue;
      const outer = inner + share * half;
      context.fillStyle = fill;
      context.fillRect(left, middle - outer, wide, outer - inner);
      context.fillRect(left, middle + inner, wide, outer - inner);
      inner = outer;
    }
  }
}

/** Cues at their times. Where there is no room for one it is left out; zooming in shows it. */
export function WordsLane({ windows, range, width }: LaneProps): JSX.Element {
  const free = new Array<number>(CUE_ROWS).fill(-1);
  const cues: JSX.Element[] = [];
  const seen = new Set<string>();
  for (const window of windows) {
    for (const { text, at_ms, generated, language } of window.words) {
      const name = `${at_ms} ${text}`;
      if (seen.has(name)) continue; // a cue that lasts longer than a window is in each of them
      seen.add(name);
      const left = shareOf(at_ms, range) * width;
      const wide = Math.min(220, text.length * CUE_PIXELS_PER_LETTER + 12);
      const row = free.findIndex((end) => end < left);
      if (row < 0 || left + wide < 0 || left > width) continue;
      free[row] = left + wide;
      cues.push(
        <span
          key={name}
          class={generated ? "cue cue-generated" : "cue"}
          dir="auto"
          title={text}
          {...(language ? { lang: language } : {})}
          style={{ left: `${left}px`, top: `${row * 22}px` }}
        >
          {text}
        </span>,
      );
    }
  }
  return (
    <Lane title={messages.value.words} height={46}>
      <div class="cues" aria-hidden="true">
        {cues}
      </div>
    </Lane>
  );
}

/** How many of each object, by label; the most frequent labels of the range. */
export function ObjectsLane(props: LaneProps): JSX.Element {
  const names = largestNames(props.windows.map(({ counts }) => counts));
  const series = names.map((name, index) => ({
    name,
    variable: variableOf(index),
    values: withEnd(props.windows.map(({ counts }) => counts[name] ?? 0)),
  }));
  const highest = Math.max(2, ...series.flatMap(({ values }) => values.map((value) => value ?? 0)));
  return (
    <ChartLane
      {...props}
      title={messages.value.objects}
      height={44}
      series={series}
      low={0}
      high={highest * 1.25}
      isStepped
      textFor={(window, name) => String(window.counts[name] ?? 0)}
    />
  );
}

/** Each modality's share in the prediction, stacked. */
export function SharesLane(props: LaneProps): JSX.Element {
  const m = messages.value;
  const shares = props.windows.map((window) => window.shares);
  const sumOf = (count: number): (number | null)[] =>
    withEnd(
      shares.map((each) => {
        if (!each) return null;
        const parts = [each.video ?? 0, each.audio ?? 0, each.text ?? 0];
        return parts.slice(0, count).reduce((sum, part) => sum + part, 0);
      }),
    );
  // The largest sum is drawn first, the others over it.
  const series: PlotSeries[] = [
    { name: m.text, variable: "--text-modality", values: sumOf(3), isFilled: true },
    { name: m.audio, variable: "--audio-modality", values: sumOf(2), isFilled: true },
    { name: m.video, variable: "--video-modality", values: sumOf(1), isFilled: true },
  ];
  const keys = { [m.text]: "text", [m.audio]: "audio", [m.video]: "video" } as const;
  return (
    <ChartLane
      {...props}
      title={m.shares}
      height={36}
      series={series}
      low={0}
      high={1}
      isStepped
      textFor={(window, name) =>
        shareText(window.shares?.[keys[name] as "video" | "audio" | "text"], formats.value.percent)
      }
    />
  );
}

/** Novelty, and the score of each prompt. */
export function MatchesLane(props: LaneProps): JSX.Element {
  const m = messages.value;
  const names = largestNames(props.windows.map(({ matches }) => matches)).slice(0, MAX_SERIES - 1);
  const series: PlotSeries[] = [
    { name: m.novelty, variable: "--novelty", values: props.windows.map(({ novelty }) => novelty) },
    ...names.map((name, index) => ({
      name,
      variable: variableOf(index),
      values: props.windows.map(({ matches }) => matches[name] ?? null),
    })),
  ];
  return (
    <ChartLane
      {...props}
      title={m.matches}
      height={60}
      series={series.map((each) => ({ ...each, values: withEnd(each.values) }))}
      low={-0.03}
      high={1.05}
      textFor={(window, name) =>
        shareText(name === m.novelty ? window.novelty : window.matches[name], formats.value.score)
      }
    />
  );
}

interface ChartLaneProps extends LaneProps {
  readonly title: string;
  readonly height: number;
  readonly series: readonly PlotSeries[];
  readonly low: number;
  readonly high: number;
  readonly isStepped?: boolean;
  readonly textFor: (window: TimelineWindow, name: string) => string;
}

function ChartLane(props: ChartLaneProps): JSX.Element {
  const { title, height, series, windows, range, width, shown, low, high, isStepped = false, textFor } = props;
  const last = windows.at(-1);
  const times = [...windows.map(({ start_ms }) => start_ms), ...(last ? [last.end_ms] : [])];
  return (
    <Lane
      title={title}
      height={height}
      legend={series.map(({ name, variable }) => ({ name, variable, value: shown ? textFor(shown, name) : "" }))}
    >
      <Plot {...{ range, width, height, times, series, low, high, isStepped }} />
    </Lane>
  );
}

/** The last value once more: at the end of its window. */
function withEnd(values: readonly (number | null)[]): (number | null)[] {
  return values.length === 0 ? [] : [...values, values.at(-1) ?? null];
}

function largestNames(maps: readonly Readonly<Record<string, number>>[]): string[] {
  const largest = new Map<string, number>();
  for (const map of maps) {
    for (const [name, value] of Object.entries(map)) largest.set(name, Math.max(value, largest.get(name) ?? 0));
  }
  const sorted = [...largest].sort(([a, x], [b, y]) => y - x || a.localeCompare(b));
  // By name at last, so that a label keeps its colour while one drags.
  return sorted
    .slice(0, MAX_SERIES)
    .map(([name]) => name)
    .sort((a, b) => a.localeCompare(b));
}

function variableOf(index: number): string {
  return SERIES_VARIABLES[index % MAX_SERIES] ?? SERIES_VARIABLES[0];
}

function shareText(value: number | null | undefined, format: (value: number) => string): string {
  return value === null || value === undefined ? "–" : format(value);
}
