/** Loads the wall, and keeps it and the review list up to date by the event stream. */
import { signal } from "@preact/signals";
import { ApiError, get } from "../api/client";
import { LiveStream } from "../api/live";
import type { FeedTile, HealthCounts, ReviewEvent, WallBody } from "../api/shapes";
import { messages } from "../text/messages";
import { announce, notify } from "./announcements";
import { isReviewLoaded, loadReview, openCount, receiveEvent } from "./review";
import { explained, loadSession, session } from "./session";
import { receive, replaceAll } from "./wall";

const RETRY_MS = 2_000;

export const healthCounts = signal<HealthCounts | null>(null);
export const isCatchingUp = signal(false);
/** Why the wall could not be loaded; empty if it was. */
export const loadFailure = signal("");

let stream: LiveStream | null = null;
/** Counts up with each start, so that one that another has replaced brings nothing any more. */
let starts = 0;

export async function startLive(): Promise<void> {
  starts += 1;
  const own = starts;
  stream?.close();
  try {
    const wall = await get<WallBody>("wall");
    if (own !== starts) return;
    replaceAll(wall.feeds);
    isCatchingUp.value = wall.catching_up;
    loadFailure.value = "";
    stream = new LiveStream(wall.cursor, ["tile", "review", "health"], {
      event: handle,
      gone: reload,
      connected,
      refused,
    });
  } catch (failure) {
    if (own !== starts) return;
    loadFailure.value = explained(failure);
    if (failure instanceof ApiError && failure.status === 401) return; // the login starts again
    setTimeout(() => {
      if (own === starts) void startLive();
    }, RETRY_MS);
  }
}

/** End the stream, and forget what it brought about all feeds. */
export function forgetLive(): void {
  starts += 1;
  stream?.close();
  stream = null;
  healthCounts.value = null;
  isCatchingUp.value = false;
  loadFailure.value = "";
}

function handle(type: string, data: string): void {
  const body: unknown = JSON.parse(data);
  if (type === "tile") {
    receive(body as FeedTile);
  } else if (type === "review") {
    const event = body as ReviewEvent;
    if (receiveEvent(event)) announce(messages.value.new_events(1));
  } else {
    const counts = body as HealthCounts;
    healthCounts.value = counts;
    openCount.value = counts.open_reviews;
    isCatchingUp.value = counts.catching_up;
  }
}

function reload(): void {
  notify("good", messages.value.wall_reloaded);
  void startLive();
  if (isReviewLoaded.value) loadReview().catch((failure: unknown) => notify("bad", explained(failure)));
}

function connected(again: boolean): void {
  if (!again) return;
  notify("good", messages.value.now_live);
  loadSession().catch((failure: unknown) => notify("bad", explained(failure)));
}

/** Ask who looks. Without a session the login is shown, and the stream ends; signing in starts another one. */
function refused(): void {
  const own = stream;
  loadSession().then(
    () => {
      if (session.value?.needs_login) own?.close();
    },
    () => undefined, // the server is away: the stream tries again, and the header says so
  );
}
