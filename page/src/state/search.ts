/** What is looked for, and what was found. It stays when one looks at a moment and comes back. */
import { signal } from "@preact/signals";
import { feedPath, get } from "../api/client";
import type { PictureLink, SearchBody, SearchedMoment, WindowBody } from "../api/shapes";
import { localMs } from "../text/local-time";
import { explained } from "./session";

export const PLACES = ["text", "said", "seen", "heard"] as const;
export const TIMES = ["any", "hour", "day", "week", "between"] as const;
export type Place = (typeof PLACES)[number];
export type Time = (typeof TIMES)[number];

const HOUR_MS = 3_600_000;
const AGES_MS: Readonly<Partial<Record<Time, number>>> = { hour: HOUR_MS, day: 24 * HOUR_MS, week: 168 * HOUR_MS };

export const searchedText = signal("");
export const searchPlace = signal<Place>("text");
export const searchFeed = signal("");
export const searchTime = signal<Time>("any");
export const searchFrom = signal("");
export const searchTo = signal("");

export const found = signal<SearchBody | null>(null);
export const isSearching = signal(false);
export const searchFailure = signal("");
/** Pictures of windows that are kept as one with others, by the result. */
export const foundPictures = signal<ReadonlyMap<string, PictureLink>>(new Map());

let running: AbortController | null = null;
/** Moments in view whose pictures are still to be read, by the result. */
const wanted = new Map<string, SearchedMoment>();
/** The results whose pictures were asked for, whether there were some or not. */
const asked = new Set<string>();
/** The search whose pictures are being read. */
let loading: AbortController | null = null;

/** Search for what is chosen now. A search that still runs is given up. */
export async function search(): Promise<void> {
  const abort = new AbortController();
  startAnew(abort);
  if (searchedText.value.trim() === "") {
    found.value = null;
    isSearching.value = false;
    return;
  }
  isSearching.value = true;
  try {
    const body = await get<SearchBody>("search", query(), abort.signal);
    found.value = body;
    isSearching.value = false;
  } catch (failure) {
    if (abort.signal.aborted) return;
    found.value = null;
    isSearching.value = false;
    searchFailure.value = explained(failure);
  }
}

function query(): Record<string, string | number | null> {
  const age = AGES_MS[searchTime.value];
  const isBetween = searchTime.value === "between";
  return {
    [searchPlace.value]: searchedText.value.trim(),
    feed: searchFeed.value,
    since_ms: age === undefined ? (isBetween ? localMs(searchFrom.value) : null) : Date.now() - age,
    until_ms: isBetween ? localMs(searchTo.value) : null,
  };
}

/** Know neither what is looked for nor what was found. */
export function forgetSearch(): void {
  startAnew(null);
  found.value = null;
  isSearching.value = false;
  searchedText.value = "";
  searchPlace.value = "text";
  searchFeed.value = "";
  searchTime.value = "any";
  searchFrom.value = "";
  searchTo.value = "";
}

function startAnew(abort: AbortController | null): void {
  running?.abort();
  running = abort;
  wanted.clear();
  asked.clear();
  searchFailure.value = "";
  foundPictures.value = new Map();
}

/**
 * Look for the picture of a moment that has come into view, if it has none yet.
 *
 * The function that is returned gives up what has not begun: for a moment that leaves the view.
 */
export function wantPicture(moment: SearchedMoment): () => void {
  if (!moment.picture && moment.is_kept && !asked.has(moment.result)) {
    wanted.set(moment.result, moment);
    void loadPictures();
  }
  return () => wanted.delete(moment.result);
}

/** One after the other: each is read from the topics. */
async function loadPictures(): Promise<void> {
  const own = running;
  if (own === null || loading === own) return;
  loading = own;
  for (let next = first(wanted); next && !own.signal.aborted; next = first(wanted)) {
    wanted.delete(next.result);
    asked.add(next.result);
    const path = `${feedPath(next.feed)}/windows/${encodeURIComponent(next.window_id)}`;
    const body = await get<WindowBody>(path, {}, own.signal).catch(() => null); // not kept any more: no picture
    const shown = body?.pictures.at(-1);
    if (shown && !own.signal.aborted) foundPictures.value = new Map(foundPictures.value).set(next.result, shown);
  }
  if (loading === own) loading = null;
}

function first(moments: ReadonlyMap<string, SearchedMoment>): SearchedMoment | undefined {
  return moments.values().next().value;
}
