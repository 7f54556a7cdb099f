/** What is looked for, and what was found. It stays when one looks at a moment and comes back. */
import { signal } from "@preact/signals";
import { get } from "../api/client";
import type { SearchBody } from "../api/shapes";
import { localMs } from "../text/local-time";
import { MomentPictures } from "./moment-pictures";
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
export const searchPictures = new MomentPictures();

let running: AbortController | null = null;

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
  searchFailure.value = "";
  searchPictures.startAnew();
}
