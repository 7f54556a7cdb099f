import { shownTimeZone } from "../state/preferences";

/** The time in milliseconds of a `datetime-local` field, in the time zone that is chosen now; null if it is empty. */
export function localMs(text: string): number | null {
  const asUtc = Date.parse(`${text}Z`);
  if (Number.isNaN(asUtc)) return null;
  // Near a change of the clocks, the offset at the first guess is another one than at the time itself.
  const guess = asUtc - offsetMs(asUtc);
  return asUtc - offsetMs(guess);
}

/** How far the clocks of the chosen time zone are ahead of UTC. */
function offsetMs(ms: number): number {
  const format = new Intl.DateTimeFormat("en", {
    timeZone: shownTimeZone.value,
    hourCycle: "h23",
    year: "numeric",
    month: "numeric",
    day: "numeric",
    hour: "numeric",
    minute: "numeric",
    second: "numeric",
  });
  const parts = new Map(format.formatToParts(ms).map(({ type, value }) => [type, Number(value)]));
  const part = (name: Intl.DateTimeFormatPartTypes): number => parts.get(name) ?? 0;
  const local = Date.UTC(part("year"), part("month") - 1, part("day"), part("hour"), part("minute"), part("second"));
  return local - Math.floor(ms / 1_000) * 1_000;
}
