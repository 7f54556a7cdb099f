import { useEffect, useRef, useState } from "preact/hooks";
import { feedPath, get } from "../../api/client";
import type { TimelineBody, TimelineWindow } from "../../api/shapes";
import { explained } from "../../state/session";
import { newestMsOf } from "../../state/wall";
import { spanOf, type TimeRange } from "./range";

const LOAD_AFTER_MS = 120;
const OVERVIEW_EVERY_MS = 20_000;
const OVERVIEW_POINTS = 1_000;
const FOLLOW_EVERY_MS = 1_000;
/** No feed is older, or newer. JavaScript holds it exactly. */
const FOREVER_MS = 8_000_000_000_000;

export interface Overviewed {
  readonly bounds: TimeRange;
  readonly windows: readonly TimelineWindow[];
}

/** All that the server remembers of a feed, coarsely; loaded again now and then. Null until it is there. */
export function useOverview(feed: string, onFailure: (text: string) => void): Overviewed | null {
  const [overview, setOverview] = useState<Overviewed | null>(null);
  const loadedMs = useRef(0);
  const newestMs = newestMsOf(feed);
  const isDue = newestMs > (overview?.bounds.toMs ?? 0) && Date.now() - loadedMs.current > OVERVIEW_EVERY_MS;
  useEffect(() => {
    const abort = new AbortController();
    loadedMs.current = Date.now();
    const query = { from_ms: 0, to_ms: FOREVER_MS, points: OVERVIEW_POINTS };
    get<TimelineBody>(`${feedPath(feed)}/timeline`, query, abort.signal).then(
      (body) => {
        setOverview({ bounds: { fromMs: body.oldest_ms, toMs: body.newest_ms }, windows: body.windows });
        onFailure("");
      },
      (failure: unknown) => {
        if (!abort.signal.aborted) onFailure(explained(failure));
      },
    );
    return () => abort.abort();
  }, [feed, isDue]);
  return overview;
}

/** The windows of a range and of half its length on either side. Loaded again when the range moves or time goes on. */
export function useWindows(
  feed: string,
  range: TimeRange | null,
  width: number,
  onFailure: (text: string) => void,
): readonly TimelineWindow[] {
  const [windows, setWindows] = useState<readonly TimelineWindow[]>([]);
  const follow = useNewestMs(feed, range);
  useEffect(() => {
    if (!range || width === 0) return;
    const abort = new AbortController();
    const margin = Math.round(spanOf(range) / 2);
    const query = {
      from_ms: Math.max(0, range.fromMs - margin),
      to_ms: range.toMs + margin,
      points: Math.min(1_000, Math.max(60, Math.round(width / 2))),
    };
    const timer = setTimeout(() => {
      get<TimelineBody>(`${feedPath(feed)}/timeline`, query, abort.signal).then(
        (body) => {
          setWindows(body.windows);
          onFailure("");
        },
        (failure: unknown) => {
          if (!abort.signal.aborted) onFailure(explained(failure));
        },
      );
    }, LOAD_AFTER_MS);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [feed, range, width, follow]);
  return windows;
}

/** The end of the feed's newest window where the range reaches it, changing once a second at most; else 0. */
function useNewestMs(feed: string, range: TimeRange | null): number {
  const [followed, setFollowed] = useState(0);
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const newestMs = newestMsOf(feed);
  const isInSight = range !== null && newestMs >= range.fromMs && newestMs <= range.toMs + spanOf(range);
  const wanted = useRef(0);
  wanted.current = isInSight ? newestMs : 0;
  useEffect(() => {
    if (wanted.current === followed || timer.current !== undefined) return;
    timer.current = setTimeout(() => {
      timer.current = undefined;
      setFollowed(wanted.current);
    }, FOLLOW_EVERY_MS);
  }, [wanted.current, followed]);
  useEffect(() => () => clearTimeout(timer.current), []);
  return followed;
}
