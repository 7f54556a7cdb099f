import { signal } from "@preact/signals";

/** What the screen reader says next. The region is polite: it waits until the present sentence has ended. */
export const announced = signal("");

export type Notice = { readonly id: number; readonly kind: "good" | "bad"; readonly text: string };

const SHOWN_MS = 6_000;
const MAX_NOTICES = 4;
let nextId = 1;

/** Short messages in a corner of the page, the newest last. */
export const notices = signal<readonly Notice[]>([]);

export function announce(text: string): void {
  // The same sentence twice would not be said twice without a difference.
  announced.value = announced.value === text ? `${text}\u00a0` : text;
}

export function notify(kind: Notice["kind"], text: string): void {
  const notice = { id: nextId++, kind, text };
  notices.value = [...notices.value, notice].slice(-MAX_NOTICES);
  announce(text);
  setTimeout(() => dismiss(notice.id), SHOWN_MS);
}

/** Whoever comes next does not see what the page told the one before. */
export function forgetNotices(): void {
  notices.value = [];
  announced.value = "";
}

export function dismiss(id: number): void {
  notices.value = notices.value.filter((notice) => notice.id !== id);
}
