import type { JSX } from "preact";
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import type { TimelineWindow } from "../../api/shapes";
import { Icon, type IconName } from "../../components/icons";
import { useShortcuts } from "../../components/shortcuts";
import { useWidth } from "../../components/use-size";
import { addressOf, replace } from "../../router";
import { announce } from "../../state/announcements";
import { newestMsOf } from "../../state/wall";
import { formats } from "../../text/format";
import { messages } from "../../text/messages";
import { useGestures } from "./gestures";
import { MatchesLane, ObjectsLane, PictureLane, SharesLane, SoundLane, TimeLane, WordsLane } from "./lanes";
import { Moment } from "./moment";
import { Overview } from "./overview";
import { bounded, centred, moved, shareOf, spanOf, type TimeRange, zoomed } from "./range";
import { useOverview, useWindows } from "./timeline-data";
import { Trouble } from "./trouble";
import { WordFinder } from "./word-finder";

const FIRST_SPAN_MS = 120_000;
const STEP = 0.2;
const ZOOM = 0.6;
const AHEAD = 0.04;

interface FeedProps {
  readonly feed: string;
  readonly atMs: number | null;
  /** The window at that time: of several that are kept as one, this one is shown. */
  readonly windowId?: string | undefined;
}

/** One feed over time, and the moment that was chosen. */
export function Feed({ feed, atMs, windowId }: FeedProps): JSX.Element {
  const m = messages.value;
  const f = formats.value;
  const lanes = useRef<HTMLDivElement>(null);
  const width = useWidth(lanes);
  const [failure, setFailure] = useState("");
  const [range, setRange] = useState<TimeRange | null>(null);
  const [isFollowing, setFollowing] = useState(atMs === null);
  const [hoverMs, setHoverMs] = useState<number | null>(null);
  const [isPlaying, setPlaying] = useState(false);
  const overview = useOverview(feed, setFailure);
  const windows = useWindows(feed, range, width, setFailure);
  const chosen = atMs === null ? null : windowAt(windows, atMs);
  // While the windows of another range load, the moment stays.
  const kept = useRef<TimelineWindow | null>(null);
  if (chosen) kept.current = chosen;
  const moment = atMs === null ? null : only(kept.current, windowId);

  const newestMs = Math.max(overview?.bounds.toMs ?? 0, newestMsOf(feed));
  const hasWindows = overview !== null && overview.windows.length > 0;
  const bounds = hasWindows && { fromMs: overview.bounds.fromMs, toMs: newestMs };

  useEffect(() => {
    if (!bounds || range) return;
    const span = Math.min(FIRST_SPAN_MS, Math.max(20_000, spanOf(bounds)));
    setRange(atMs === null ? endingAt(newestMs, span) : centred(atMs, span));
  }, [bounds, range, atMs, newestMs]);
  useEffect(() => {
    if (range && isFollowing) setRange(endingAt(newestMs, spanOf(range)));
  }, [newestMs, isFollowing]);

  const view = useCallback(
    (next: TimeRange) => {
      setFollowing(false);
      setRange(bounds ? bounded(next, bounds) : next);
    },
    [bounds],
  );
  const choose = (ms: number): void => {
    setFollowing(false);
    replace({ view: "feed", feed, atMs: Math.round(ms) });
    if (range && (ms < range.fromMs || ms > range.toMs)) setRange(centred(ms, spanOf(range)));
  };
  const step = (direction: 1 | -1): boolean => {
    const next = neighbour(windows, moment, direction);
    if (!next) return false;
    choose(next.start_ms);
    return true;
  };
  const follow = (): void => {
    replace({ view: "feed", feed, atMs: null });
    setPlaying(false);
    setFollowing(true);
    if (range) setRange(endingAt(newestMs, spanOf(range)));
    announce(m.following);
  };
  const move = (share: number): void => {
    if (range) view(moved(range, Math.round(share * spanOf(range))));
  };
  const zoom = (factor: number): void => {
    if (range) view(zoomed(range, factor, moment ? clamp(shareOf(moment.start_ms, range)) : 0.5));
  };

  const surface = { range: range ?? { fromMs: 0, toMs: 1 }, onRange: view, onChoose: choose, onHover: setHoverMs };
  useGestures(lanes, surface);
  useShortcuts({
    ArrowLeft: () => move(-STEP),
    ArrowRight: () => move(STEP),
    "+": () => zoom(ZOOM),
    "=": () => zoom(ZOOM),
    "-": () => zoom(1 / ZOOM),
    "[": () => void step(-1),
    "]": () => void step(1),
    l: follow,
    " ": () => (moment ? setPlaying(!isPlaying) : choose(range ? (range.fromMs + range.toMs) / 2 : 0)),
  });

  const shown = (hoverMs === null ? null : windowAt(windows, hoverMs)) ?? moment ?? windows.at(-1) ?? null;
  const laneProps = range && { windows, range, width, shown };
  return (
    <section class="view feed" aria-labelledby="feed-title">
      <header class="view-head feed-head">
        <a class="button button-quiet button-icon" href={addressOf({ view: "wall" })} aria-label={m.wall}>
          <Icon name="back" />
        </a>
        <h1 id="feed-title">
          <bdi>{feed}</bdi>
        </h1>
        {range && (
          <span class="muted feed-range">
            {m.range_shown(f.moment(range.fromMs), f.clock(range.toMs))} · {f.duration(spanOf(range) / 1_000)}
          </span>
        )}
        <div class="feed-buttons">
          <IconButton icon="previous" label={m.earlier} onClick={() => move(-STEP)} />
          <IconButton icon="next" label={m.later} onClick={() => move(STEP)} />
          <IconButton icon="minus" label={m.zoom_out} onClick={() => zoom(1 / ZOOM)} />
          <IconButton icon="plus" label={m.zoom_in} onClick={() => zoom(ZOOM)} />
          <button type="button" class="button button-toggle" aria-pressed={isFollowing} onClick={follow}>
            <Icon name="follow" size={16} />
            {m.go_live}
          </button>
        </div>
      </header>
      {failure && (
        <p class="bad" role="alert">
          {failure}
        </p>
      )}
      <Trouble feed={feed} />
      {overview && !hasWindows && <p class="empty">{m.no_windows}</p>}
      <div class="feed-body">
        <div class="feed-time">
          {bounds && range && (
            <Overview windows={overview.windows} bounds={bounds} range={range} width={width} onRange={view} />
          )}
          {/* biome-ignore lint/a11y/useSemanticElements: a field set is for the fields of a form */}
          <div
            class="lanes"
            ref={lanes}
            role="group"
            aria-label={m.time_line_of(feed)}
            aria-describedby="time-line-help"
            // biome-ignore lint/a11y/noNoninteractiveTabindex: the keys of the time line need a place for the focus
            tabIndex={0}
          >
            {laneProps && width > 0 && (
              <>
                <TimeLane range={laneProps.range} width={width} />
                <PictureLane {...laneProps} />
                <SoundLane {...laneProps} />
                <WordsLane {...laneProps} />
                <ObjectsLane {...laneProps} />
                <SharesLane {...laneProps} />
                <MatchesLane {...laneProps} />
                {moment && <Band window={moment} range={laneProps.range} />}
                {hoverMs !== null && (
                  <div class="hover-line" style={{ left: `${shareOf(hoverMs, laneProps.range) * 100}%` }}>
                    <span>{f.clock(hoverMs)}</span>
                  </div>
                )}
              </>
            )}
          </div>
          <p id="time-line-help" class="muted feed-help">
            {m.time_line_help}
          </p>
          {overview && <WordFinder windows={overview.windows} onChoose={choose} />}
        </div>
        <Moment feed={feed} window={moment} isPlaying={isPlaying} onPlaying={setPlaying} onStep={step} />
      </div>
    </section>
  );
}

function IconButton(props: { icon: IconName; label: string; onClick: () => void }): JSX.Element {
  return (
    <button
      type="button"
      class="button button-icon"
      aria-label={props.label}
      title={props.label}
      onClick={props.onClick}
    >
      <Icon name={props.icon} />
    </button>
  );
}

function Band({ window, range }: { window: TimelineWindow; range: TimeRange }): JSX.Element {
  const left = shareOf(window.start_ms, range);
  const wide = shareOf(window.end_ms, range) - left;
  return <div class="band" style={{ left: `${left * 100}%`, width: `max(2px, ${wide * 100}%)` }} />;
}

function endingAt(ms: number, spanMs: number): TimeRange {
  const toMs = Math.round(ms + spanMs * AHEAD);
  return { fromMs: toMs - Math.round(spanMs), toMs };
}

function clamp(share: number): number {
  return Math.min(1, Math.max(0, share));
}

/** Of several windows that are kept as one, the one that was asked for. */
function only(window: TimelineWindow | null, windowId: string | undefined): TimelineWindow | null {
  return window && windowId && window.windows > 1 ? { ...window, window_id: windowId } : window;
}

function windowAt(windows: readonly TimelineWindow[], ms: number): TimelineWindow | null {
  return windows.find(({ start_ms, end_ms }) => start_ms <= ms && ms < end_ms) ?? null;
}

function neighbour(
  windows: readonly TimelineWindow[],
  window: TimelineWindow | null,
  direction: 1 | -1,
): TimelineWindow | undefined {
  if (!window) return direction === 1 ? windows[0] : windows.at(-1);
  return direction === 1
    ? windows.find(({ start_ms }) => start_ms > window.start_ms)
    : windows.findLast(({ start_ms }) => start_ms < window.start_ms);
}
