/**
 * The newest state of each feed: one entry a feed, whatever comes.
 *
 * Tiles of the stream are gathered and shown together, a few times a second. Each feed has a signal of its own, so that
 * only the tiles in sight that changed are drawn.
 */
import { computed, type ReadonlySignal, type Signal, signal } from "@preact/signals";
import type { FeedTile } from "../api/shapes";

const SHOW_EVERY_MS = 250;
const SORT_EVERY_MS = 3_000;

export interface LiveFeed {
  readonly name: string;
  readonly tile: Signal<FeedTile>;
  /** When the newest tile arrived, by the clock of this device. */
  receivedMs: number;
}

const feeds = new Map<string, LiveFeed>();
const waiting = new Map<string, FeedTile>();
let isShowDue = false;

/** Counts up with each feed that comes or goes, and with each sorting that is due. */
const arrangement = signal(0);
/** Counts up with each batch of tiles that is shown. */
export const shownBatches = signal(0);
export const isLoaded = signal(false);

export type Order = "attention" | "name" | "lag";
export const order = signal<Order>("attention");
export const filterText = signal("");
export const filterPrompt = signal("");
export const attentionOnly = signal(false);
/** While true the order stays as it is: a tile must not move away below a pointer or the keyboard's focus. */
export const isOrderHeld = signal(false);

export const feedCount: ReadonlySignal<number> = computed(() => {
  arrangement.value;
  return feeds.size;
});

export function replaceAll(tiles: readonly FeedTile[]): void {
  waiting.clear();
  const named = new Set(tiles.map((tile) => tile.feed));
  for (const name of feeds.keys()) if (!named.has(name)) feeds.delete(name);
  for (const tile of tiles) put(tile);
  isLoaded.value = true;
  arrangement.value += 1;
}

/** Know no feed, as before the first load. */
export function forgetWall(): void {
  feeds.clear();
  waiting.clear();
  isLoaded.value = false;
  filterText.value = "";
  filterPrompt.value = "";
  arrangement.value += 1;
}

export function receive(tile: FeedTile): void {
  waiting.set(tile.feed, tile);
  if (isShowDue) return;
  isShowDue = true;
  setTimeout(showWaiting, SHOW_EVERY_MS);
}

/** The end of a feed's newest window, in milliseconds; 0 where the feed is not known. Follows the stream. */
export function newestMsOf(name: string): number {
  const feed = feeds.get(name);
  if (feed) return feed.tile.value.end_ms;
  arrangement.value; // the feed may come
  return 0;
}

/** The newest tile of a feed; null where the feed is not known. Follows the stream. */
export function tileOf(name: string): FeedTile | null {
  const feed = feeds.get(name);
  if (feed) return feed.tile.value;
  arrangement.value; // the feed may come
  return null;
}

/** The newest tile of each feed, as it is now. Does not follow the stream. */
export function shownTiles(): FeedTile[] {
  return [...feeds.values()].map(({ tile }) => tile.peek());
}

export function feedNames(): string[] {
  arrangement.value;
  return [...feeds.keys()].sort((a, b) => a.localeCompare(b));
}

function showWaiting(): void {
  isShowDue = false;
  const before = feeds.size;
  for (const tile of waiting.values()) put(tile);
  waiting.clear();
  shownBatches.value += 1;
  if (feeds.size !== before) arrangement.value += 1;
}

function put(tile: FeedTile): void {
  const known = feeds.get(tile.feed);
  if (!known) {
    feeds.set(tile.feed, { name: tile.feed, tile: signal(tile), receivedMs: Date.now() });
  } else if (isNewer(tile, known.tile.peek())) {
    known.receivedMs = Date.now();
    known.tile.value = tile;
  }
}

/** After a reconnection the server may send again what is shown already. */
function isNewer(tile: FeedTile, than: FeedTile): boolean {
  return tile.published_ms >= than.published_ms;
}

setInterval(() => {
  if (!document.hidden && !isOrderHeld.value) arrangement.value += 1;
}, SORT_EVERY_MS);

/** The prompts that some feed reports, for the filter. */
export const prompts = computed<readonly string[]>(() => {
  arrangement.value;
  const names = new Set<string>();
  for (const { tile } of feeds.values()) for (const name of Object.keys(tile.peek().matches)) names.add(name);
  return [...names].sort((a, b) => a.localeCompare(b));
});

/** The feeds that pass the filters, in order. */
export const arranged = computed<readonly LiveFeed[]>(() => {
  arrangement.value;
  const passing = [...feeds.values()].filter(({ tile }) => passes(tile.peek()));
  return passing.sort(comparisons[order.value]);
});

const comparisons: Readonly<Record<Order, (a: LiveFeed, b: LiveFeed) => number>> = {
  attention: (a, b) => attentionLevel(b) - attentionLevel(a) || a.name.localeCompare(b.name),
  name: (a, b) => a.name.localeCompare(b.name),
  lag: (a, b) => (b.tile.peek().lag_s ?? -1) - (a.tile.peek().lag_s ?? -1) || a.name.localeCompare(b.name),
};

/** In steps, so that feeds whose attention differs by little keep their places. */
function attentionLevel(feed: LiveFeed): number {
  return Math.round(feed.tile.peek().attention * 10);
}

function passes(tile: FeedTile): boolean {
  if (attentionOnly.value && tile.attention_why.length === 0) return false;
  if (filterPrompt.value && !(filterPrompt.value in tile.matches)) return false;
  const wanted = filterText.value.trim().toLocaleLowerCase();
  return !wanted || textsOf(tile).some((text) => text.toLocaleLowerCase().includes(wanted));
}

function textsOf(tile: FeedTile): string[] {
  return [
    tile.feed,
    ...Object.keys(tile.counts),
    ...Object.keys(tile.matches),
    ...tile.labels.map(({ label }) => label),
    ...tile.sounds.map(({ label }) => label),
    ...tile.words.map(({ text }) => text),
    ...tile.quality,
  ];
}
