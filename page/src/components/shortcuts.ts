import { useLayoutEffect, useRef } from "preact/hooks";
import { shortcuts } from "../state/preferences";

export type Keys = Readonly<Record<string, (event: KeyboardEvent) => void>>;

const TYPED_INTO = "input, textarea, select, [contenteditable]";

/** Call a function for a key, by its name (`KeyboardEvent.key`), unless the user types or holds a modifier. */
export function useShortcuts(keys: Keys): void {
  const latest = useRef(keys);
  latest.current = keys;
  // Before the view is painted: whoever sees it may press a key at once.
  useLayoutEffect(() => {
    const handle = (event: KeyboardEvent): void => {
      if (shortcuts.value === "off" && event.key.length === 1) return;
      if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
      const target = event.target instanceof Element ? event.target : null;
      if (target?.closest(TYPED_INTO)) {
        if (event.key === "Escape" && target instanceof HTMLElement) target.blur();
        return;
      }
      if (document.querySelector("dialog[open]")) return;
      // A button in focus takes these two itself.
      if ((event.key === " " || event.key === "Enter") && target?.closest("button, a, summary")) return;
      const act = latest.current[event.key];
      if (!act) return;
      event.preventDefault();
      act(event);
    };
    addEventListener("keydown", handle);
    return () => removeEventListener("keydown", handle);
  }, []);
}
