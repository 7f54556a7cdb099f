import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { Marked } from "../../components/marked";
import { useShortcuts } from "../../components/shortcuts";
import { useWidth } from "../../components/use-size";
import { useVirtualRows } from "../../components/virtual";
import { go } from "../../router";
import { loadFailure } from "../../state/live";
import { tileSize } from "../../state/preferences";
import { set } from "../../state/set";
import { arranged, feedCount, isLoaded, isOrderHeld } from "../../state/wall";
import { messages } from "../../text/messages";
import { Tile } from "./tile";
import { WallToolbar } from "./toolbar";

const GAP = 12;
const BELOW_PICTURE = 137;
const SMALLEST = { small: 210, medium: 290, large: 420 } as const;

/** All feeds, what needs attention first. Only the tiles in sight exist as elements. */
export function Wall(): JSX.Element {
  const scroller = useRef<HTMLDivElement>(null);
  const filter = useRef<HTMLInputElement>(null);
  const holders = useRef({ pointer: false, focus: false });
  const width = useWidth(scroller);
  const feeds = arranged.value;
  const columns = Math.max(1, Math.floor((width + GAP) / (SMALLEST[tileSize.value] + GAP)));
  const tileWidth = Math.floor((width - GAP * (columns - 1)) / columns);
  const tileHeight = Math.round((tileWidth * 9) / 16) + BELOW_PICTURE;
  const rows = useVirtualRows(scroller, Math.ceil(feeds.length / columns), tileHeight + GAP);

  useEffect(() => () => set(isOrderHeld, false), []);

  const hold = (by: "pointer" | "focus", isHeld: boolean): void => {
    holders.current[by] = isHeld;
    isOrderHeld.value = holders.current.pointer || holders.current.focus;
  };
  const focusTile = (index: number): void => {
    const to = Math.max(0, Math.min(feeds.length - 1, index));
    rows.scrollTo(Math.floor(to / columns));
    // The tile exists once the list has scrolled to it.
    requestAnimationFrame(() => scroller.current?.querySelector<HTMLElement>(`[data-index="${to}"]`)?.focus());
  };
  // Where no tile has the focus, an arrow goes to the first one, also from the filter.
  const focusFirst = (): void => {
    if (feeds.length > 0) focusTile(0);
  };
  const openFirst = (): void => {
    const [first] = arranged.peek();
    if (first) go({ view: "feed", feed: first.name, atMs: null });
  };
  useShortcuts({ "/": () => filter.current?.focus(), ArrowDown: focusFirst, ArrowRight: focusFirst });
  const moveFocus = (event: KeyboardEvent): void => {
    const index = Number(
      (event.target as HTMLElement).closest("[data-index]")?.getAttribute("data-index") ?? Number.NaN,
    );
    const steps: Record<string, number> = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns };
    const step = steps[event.key];
    if (step === undefined || Number.isNaN(index)) return;
    event.preventDefault();
    focusTile(index + step);
  };

  return (
    <section class="view wall" aria-labelledby="wall-title">
      <h1 id="wall-title" class="visually-hidden">
        {messages.value.wall}
      </h1>
      <WallToolbar shown={feeds.length} filter={filter} onDown={focusFirst} onEnter={openFirst} />
      {/* biome-ignore lint/a11y/noStaticElementInteractions: keys and pointer only move the focus and hold the order */}
      <div
        class="wall-scroller"
        ref={scroller}
        onKeyDown={moveFocus}
        onPointerEnter={() => hold("pointer", true)}
        onPointerLeave={() => hold("pointer", false)}
        onFocusIn={() => hold("focus", true)}
        onFocusOut={() => hold("focus", false)}
      >
        {feeds.length === 0 ? (
          <NothingToShow />
        ) : (
          <ul class="wall-list" style={{ height: `${rows.totalHeight}px` }} aria-label={messages.value.feeds}>
            {width > 0 &&
              rows.items.flatMap((row) =>
                feeds
                  .slice(row.index * columns, (row.index + 1) * columns)
                  .map((feed, column) => (
                    <Tile
                      key={feed.name}
                      feed={feed}
                      index={row.index * columns + column}
                      count={feeds.length}
                      place={{ left: column * (tileWidth + GAP), top: row.start, width: tileWidth, height: tileHeight }}
                    />
                  )),
              )}
          </ul>
        )}
      </div>
    </section>
  );
}

function NothingToShow(): JSX.Element {
  const m = messages.value;
  if (loadFailure.value) return <p class="empty empty-bad">{loadFailure.value}</p>;
  if (!isLoaded.value) return <p class="empty">{m.loading}</p>;
  if (feedCount.value > 0) return <p class="empty">{m.no_feeds_match}</p>;
  return (
    <div class="empty">
      <p class="empty-title">{m.no_feeds}</p>
      <p>
        <Marked text={m.no_feeds_help} />
      </p>
    </div>
  );
}
