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

/** Search for what is chosen now. A search that still runs is given up. */
export async function search(): Promise<void> {
  running?.abort();
  const abort = new AbortController();
  running = abort;
  searchFailure.value = "";
  foundPictures.value = new Map();
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
    await loadPictures(body.moments, abort.signal);
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

/** One after the other: each is read from the topics. */
async function loadPictures(moments: readonly SearchedMoment[], abort: AbortSignal): Promise<void> {
  for (const { feed, window_id, result, picture, is_kept } of moments) {
    if (picture || !is_kept) continue;
    const path = `${feedPath(feed)}/windows/${encodeURIComponent(window_id)}`;
    const body = await get<WindowBody>(path, {}, abort).catch((failure: unknown) => {
      if (abort.aborted) throw failure;
      return null; // its records are not kept any more: there is no picture
    });
    const shown = body?.pictures.at(-1);
    if (shown) foundPictures.value = new Map(foundPictures.value).set(result, shown);
  }
}
