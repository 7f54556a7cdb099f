import { computed } from "@preact/signals";
import { language, shownTimeZone } from "../state/preferences";

const LOCALES = { en: "en-GB", zh: "zh-CN" } as const;

/** Formats of times and numbers in the language and the time zone that are chosen now. All times are in milliseconds. */
export const formats = computed(() => {
  const locale = LOCALES[language.value];
  const timeZone = shownTimeZone.value;
  const clock = new Intl.DateTimeFormat(locale, { timeZone, hour: "2-digit", minute: "2-digit", second: "2-digit" });
  const day = new Intl.DateTimeFormat(locale, { timeZone, day: "numeric", month: "short" });
  const dayAndYear = new Intl.DateTimeFormat(locale, { timeZone, day: "numeric", month: "short", year: "numeric" });
  const zoneName = new Intl.DateTimeFormat(locale, { timeZone, timeZoneName: "short" });
  const whole = new Intl.NumberFormat(locale);
  const short = new Intl.NumberFormat(locale, { notation: "compact", maximumFractionDigits: 1 });
  const two = new Intl.NumberFormat(locale, { minimumFractionDigits: 2, maximumFractionDigits: 2 });
  const percent = new Intl.NumberFormat(locale, { style: "percent", maximumFractionDigits: 0 });
  return {
    clock: (ms: number): string => clock.format(ms),
    clockWithMilliseconds: (ms: number): string => `${clock.format(ms)}.${String(modulo(ms, 1000)).padStart(3, "0")}`,
    /** Day and time; the year only where it is not the present one. */
    moment: (ms: number): string => {
      const thisYear = new Date(ms).getUTCFullYear() === new Date().getUTCFullYear();
      return `${(thisYear ? day : dayAndYear).format(ms)} ${clock.format(ms)}`;
    },
    zone: (): string => zoneName.formatToParts(0).find((part) => part.type === "timeZoneName")?.value ?? timeZone,
    number: (value: number): string => whole.format(value),
    short: (value: number): string => short.format(value),
    score: (value: number): string => two.format(value),
    percent: (value: number): string => percent.format(value),
    duration,
    bytes,
  };
});

function modulo(value: number, divisor: number): number {
  return ((Math.floor(value) % divisor) + divisor) % divisor;
}

/** `0.4 s`, `12 s`, `3 min 5 s`, `2 h 4 min`, `3 d 2 h`: unit symbols of SI, the same in all languages. */
function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return "–";
  const s = Math.max(0, seconds);
  if (s < 10) return `${s.toFixed(1)} s`;
  if (s < 60) return `${Math.round(s)} s`;
  const minutes = Math.floor(s / 60);
  if (minutes < 60) return joined(`${minutes} min`, Math.floor(s % 60), "s");
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return joined(`${hours} h`, minutes % 60, "min");
  return joined(`${Math.floor(hours / 24)} d`, hours % 24, "h");
}

function joined(large: string, small: number, unit: string): string {
  return small ? `${large} ${small} ${unit}` : large;
}

function bytes(n: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = n;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit && value < 10 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}
