import { computed, effect, type Signal, signal } from "@preact/signals";

export type Theme = "system" | "dark" | "light";
export type Language = "en" | "zh";
export type TileSize = "small" | "medium" | "large";

/** A signal whose value the browser keeps. A value that is not one of `allowed` counts as absent. */
function kept<Value extends string>(name: string, absent: Value, allowed?: readonly Value[]): Signal<Value> {
  const key = `triptych.${name}`;
  const stored = read(key) as Value | null;
  const value = signal<Value>(stored !== null && (!allowed || allowed.includes(stored)) ? stored : absent);
  effect(() => write(key, value.value));
  return value;
}

function read(key: string): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null; // the browser forbids storage: preferences last as long as the page
  }
}

function write(key: string, value: string): void {
  try {
    localStorage.setItem(key, value);
  } catch {
    // As above.
  }
}

const preferred: Language = navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en";

export const theme = kept<Theme>("theme", "system", ["system", "dark", "light"]);
export const language = kept<Language>("language", preferred, ["en", "zh"]);
export const tileSize = kept<TileSize>("tile-size", "medium", ["small", "medium", "large"]);
/** An IANA name, or "" for the zone of this device. */
export const timeZone = kept<string>("time-zone", "");
/** Whether single keys are shortcuts: users of speech input switch them off (WCAG 2.1.4). */
export const shortcuts = kept<"on" | "off">("shortcuts", "on", ["on", "off"]);

const systemIsDark = matchMedia("(prefers-color-scheme: dark)");
const systemTheme = signal<"dark" | "light">(systemIsDark.matches ? "dark" : "light");
systemIsDark.addEventListener("change", (change) => {
  systemTheme.value = change.matches ? "dark" : "light";
});

export const shownTheme = computed<"dark" | "light">(() =>
  theme.value === "system" ? systemTheme.value : theme.value,
);

export const deviceTimeZone = Intl.DateTimeFormat().resolvedOptions().timeZone;
export const shownTimeZone = computed(() => {
  const zone = timeZone.value || deviceTimeZone;
  try {
    new Intl.DateTimeFormat("en", { timeZone: zone });
    return zone;
  } catch {
    return deviceTimeZone; // a zone that this browser does not know
  }
});

effect(() => {
  document.documentElement.dataset.theme = shownTheme.value;
});
effect(() => {
  document.documentElement.lang = language.value === "zh" ? "zh-CN" : "en";
});
