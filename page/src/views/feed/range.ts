/** A range of event time in milliseconds, and how it moves. Pure functions. */

export interface TimeRange {
  readonly fromMs: number;
  readonly toMs: number;
}

export const SMALLEST_SPAN_MS = 4_000;
const LARGEST_SPAN_MS = 8 * 24 * 3_600_000;
const TICK_STEPS_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 21_600, 43_200, 86_400];

export function spanOf({ fromMs, toMs }: TimeRange): number {
  return toMs - fromMs;
}

export function moved(range: TimeRange, byMs: number): TimeRange {
  return { fromMs: range.fromMs + byMs, toMs: range.toMs + byMs };
}

/** Zoom by `factor` (below 1: in) so that the time at `share` of the width stays where it is. */
export function zoomed(range: TimeRange, factor: number, share = 0.5): TimeRange {
  const span = Math.min(LARGEST_SPAN_MS, Math.max(SMALLEST_SPAN_MS, spanOf(range) * factor));
  const fixedMs = range.fromMs + spanOf(range) * share;
  const fromMs = Math.round(fixedMs - span * share);
  return { fromMs, toMs: fromMs + Math.round(span) };
}

/** Keep a part of `bounds` in sight, so that no one drags into nothing. */
export function bounded(range: TimeRange, bounds: TimeRange): TimeRange {
  const span = spanOf(range);
  const lowest = bounds.fromMs - span / 2;
  const highest = Math.max(lowest, bounds.toMs - span / 2);
  const fromMs = Math.round(Math.min(highest, Math.max(lowest, range.fromMs)));
  return { fromMs, toMs: fromMs + Math.round(span) };
}

export function centred(atMs: number, spanMs: number): TimeRange {
  const fromMs = Math.round(atMs - spanMs / 2);
  return { fromMs, toMs: fromMs + spanMs };
}

export function shareOf(ms: number, { fromMs, toMs }: TimeRange): number {
  return (ms - fromMs) / (toMs - fromMs);
}

/** Round times, at most one for each `pixels` of `width`. */
export function ticksOf(range: TimeRange, width: number, pixels: number): number[] {
  const stepMs = stepOf((spanOf(range) * pixels) / Math.max(1, width));
  const ticks: number[] = [];
  for (let at = Math.ceil(range.fromMs / stepMs) * stepMs; at <= range.toMs; at += stepMs) ticks.push(at);
  return ticks;
}

/** The smallest round step of at least `ms`. */
export function stepOf(ms: number): number {
  const seconds = TICK_STEPS_S.find((step) => step * 1_000 >= ms);
  return seconds ? seconds * 1_000 : Math.ceil(ms / 86_400_000) * 86_400_000;
}
