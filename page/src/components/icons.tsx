import type { JSX } from "preact";

const PATHS = {
  wall: "M3 3h8v8H3zM13 3h8v8h-8zM3 13h8v8H3zM13 13h8v8h-8z",
  events: "M4 5h16M4 12h10M4 19h7M16 17l2.5 2.5L22 15",
  health: "M3 12h4l2.5-7 5 14 2.5-7h4",
  settings: "M4 7h10M18 7h2M4 17h2M10 17h10M16 4.5v5M8 14.5v5",
  keyboard: "M3 6h18v12H3zM7 10h.01M11 10h.01M15 10h.01M8 14h8",
  video: "M3 6h12v12H3zM15 10.5l6-3.5v10l-6-3.5",
  audio: "M4 10v4h4l5 4V6L8 10zM17 9a4 4 0 0 1 0 6",
  text: "M4 6h16M4 11h16M4 16h9",
  alert: "M12 4 2.5 20h19zM12 10v4M12 17h.01",
  wrong: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM9 9l6 6M15 9l-6 6",
  ok: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM8 12.5l2.8 2.8L16 9.5",
  unknown: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM9.5 9.5a2.5 2.5 0 1 1 3.5 2.3c-.7.3-1 .8-1 1.7M12 16.5h.01",
  close: "M6 6l12 12M18 6 6 18",
  play: "M7 4.5v15l12-7.5z",
  pause: "M8 5v14M16 5v14",
  previous: "M15 5l-7 7 7 7",
  next: "M9 5l7 7-7 7",
  plus: "M12 5v14M5 12h14",
  minus: "M5 12h14",
  follow: "M5 12h11M12 7l5 5-5 5M20 5v14",
  search: "M10.5 4a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13zM15.5 15.5 21 21",
  ask: "M4 5h16v11h-8l-4.5 4v-4H4zM8.5 9.2h7M8.5 12.4h4.5",
  check: "M5 12.5 10 17.5 19.5 7",
  refresh: "M20 6v5h-5M19 11a7.5 7.5 0 1 0 .3 5",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  back: "M10 6l-6 6 6 6M4 12h16",
} as const;

export type IconName = keyof typeof PATHS;

/** Beside text, or inside a button with a name: hidden from screen readers. */
export function Icon({ name, size = 18 }: { name: IconName; size?: number }): JSX.Element {
  const filled = name === "play";
  return (
    <svg class="icon" viewBox="0 0 24 24" width={size} height={size} aria-hidden="true" focusable="false">
      <path
        d={PATHS[name]}
        fill={filled ? "currentColor" : "none"}
        stroke="currentColor"
        stroke-width="1.8"
        stroke-linecap="round"
        stroke-linejoin="round"
      />
    </svg>
  );
}
