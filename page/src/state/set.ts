import type { Signal } from "@preact/signals";

/** Give a signal a value, as a handler of an event. */
export function set<Value>(target: Signal<Value>, value: Value): void {
  target.value = value;
}
