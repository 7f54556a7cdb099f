import { signal } from "@preact/signals";

/** The wall clock of this device, once a second, in milliseconds. Stands still while the page is hidden. */
export const nowMs = signal(Date.now());

setInterval(() => {
  if (!document.hidden) nowMs.value = Date.now();
}, 1_000);
