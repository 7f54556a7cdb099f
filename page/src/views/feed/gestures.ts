import type { RefObject } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { moved, spanOf, type TimeRange, zoomed } from "./range";

const CLICK_PIXELS = 4;
const WHEEL_ZOOM = 0.0016;

interface Gestures {
  readonly range: TimeRange;
  readonly onRange: (range: TimeRange) => void;
  /** A click or a tap at a time. */
  readonly onChoose: (ms: number) => void;
  readonly onHover: (ms: number | null) => void;
}

interface Drag {
  readonly pointers: Map<number, number>;
  readonly from: TimeRange;
  readonly firstX: number;
  isMove: boolean;
}

/** Drag moves the range, wheel and pinch zoom at the pointer, a click chooses a time. */
export function useGestures(element: RefObject<HTMLElement | null>, gestures: Gestures): void {
  const latest = useRef(gestures);
  latest.current = gestures;
  useEffect(() => {
    const target = element.current;
    if (!target) return;
    return listen(target, latest);
  }, [element]);
}

function listen(target: HTMLElement, latest: { readonly current: Gestures }): () => void {
  let drag: Drag | null = null;
  const shareAt = (x: number): number => {
    const { left, width } = target.getBoundingClientRect();
    return (x - left) / Math.max(1, width);
  };
  const timeAt = (x: number): number => {
    const { range } = latest.current;
    return Math.round(range.fromMs + shareAt(x) * spanOf(range));
  };

  const onDown = (event: PointerEvent): void => {
    if (event.button !== 0) return;
    const pointers = new Map(drag?.pointers).set(event.pointerId, event.clientX);
    drag = { pointers, from: latest.current.range, firstX: event.clientX, isMove: pointers.size > 1 };
  };
  const onMove = (event: PointerEvent): void => {
    if (!drag?.pointers.has(event.pointerId)) {
      latest.current.onHover(timeAt(event.clientX));
      return;
    }
    if (drag.pointers.size === 2) {
      pinch(drag, event);
      return;
    }
    const pixels = event.clientX - drag.firstX;
    if (!drag.isMove && Math.abs(pixels) < CLICK_PIXELS) return;
    if (!drag.isMove) {
      drag.isMove = true;
      target.setPointerCapture(event.pointerId);
      target.dataset.dragging = "";
    }
    const { width } = target.getBoundingClientRect();
    latest.current.onRange(moved(drag.from, Math.round((-pixels / Math.max(1, width)) * spanOf(drag.from))));
  };
  const pinch = (held: Drag, event: PointerEvent): void => {
    const before = [...held.pointers.values()];
    held.pointers.set(event.pointerId, event.clientX);
    const after = [...held.pointers.values()];
    const distance = (xs: number[]): number => Math.max(10, Math.abs((xs[0] ?? 0) - (xs[1] ?? 0)));
    const middle = ((after[0] ?? 0) + (after[1] ?? 0)) / 2;
    latest.current.onRange(zoomed(latest.current.range, distance(before) / distance(after), shareAt(middle)));
  };
  const onUp = (event: PointerEvent): void => {
    if (!drag?.pointers.has(event.pointerId)) return;
    const wasClick = !drag.isMove && event.type === "pointerup";
    drag.pointers.delete(event.pointerId);
    if (drag.pointers.size === 0) drag = null;
    delete target.dataset.dragging;
    if (wasClick) latest.current.onChoose(timeAt(event.clientX));
  };
  const onWheel = (event: WheelEvent): void => {
    event.preventDefault();
    const { range, onRange } = latest.current;
    if (Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey) {
      const pixels = event.deltaX || event.deltaY;
      onRange(moved(range, Math.round((pixels / Math.max(1, target.clientWidth)) * spanOf(range))));
    } else {
      onRange(zoomed(range, Math.exp(event.deltaY * WHEEL_ZOOM), shareAt(event.clientX)));
    }
  };
  const onLeave = (): void => latest.current.onHover(null);

  target.addEventListener("pointerdown", onDown);
  target.addEventListener("pointermove", onMove);
  target.addEventListener("pointerup", onUp);
  target.addEventListener("pointercancel", onUp);
  target.addEventListener("pointerleave", onLeave);
  target.addEventListener("wheel", onWheel, { passive: false });
  return () => {
    target.removeEventListener("pointerdown", onDown);
    target.removeEventListener("pointermove", onMove);
    target.removeEventListener("pointerup", onUp);
    target.removeEventListener("pointercancel", onUp);
    target.removeEventListener("pointerleave", onLeave);
    target.removeEventListener("wheel", onWheel);
  };
}
