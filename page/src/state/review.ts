/** The events to review: the newest first, each once, at most `MAX_EVENTS` at a time. */
import { computed, signal } from "@preact/signals";
import { get, post } from "../api/client";
import type { Answer, ReviewBody, ReviewEvent } from "../api/shapes";

export type ReviewState = "open" | "done";
const MAX_EVENTS = 2_000;

export const reviewState = signal<ReviewState>("open");
export const reviewPrompt = signal("");
export const reviewFeed = signal("");
export const reviewPrompts = signal<readonly string[]>([]);
/** Of all open events, as the server counts them. */
export const openCount = signal(0);

const byId = signal<ReadonlyMap<string, ReviewEvent>>(new Map());
const nextBefore = signal<string | null>(null);
const loads = signal(0);

export const hasMore = computed(() => nextBefore.value !== null);
export const isReviewLoaded = computed(() => loads.value > 0);

export const reviewEvents = computed<readonly ReviewEvent[]>(() =>
  [...byId.value.values()].filter(belongs).sort((a, b) => b.first_ms - a.first_ms || (a.id < b.id ? -1 : 1)),
);

/** What was answered here stays in sight until the list is loaded again: whoever answers must see what he did. */
const answeredHere = new Map<string, Answer>();

/** What the stream brought while a list loads: the list may be older. Null while none loads. */
let newerThanLoad: Map<string, ReviewEvent> | null = null;

/** Counts up when all is forgotten: an answer of the server to a request from before comes too late. */
let generation = 0;

/** Know no event and no filter, as before the first load. */
export function forgetReview(): void {
  generation += 1;
  newerThanLoad = null;
  answeredHere.clear();
  byId.value = new Map();
  nextBefore.value = null;
  loads.value = 0;
  openCount.value = 0;
  reviewPrompts.value = [];
  reviewPrompt.value = "";
  reviewFeed.value = "";
}

function belongs(event: ReviewEvent): boolean {
  if (reviewPrompt.value && event.prompt !== reviewPrompt.value) return false;
  if (reviewFeed.value && event.feed !== reviewFeed.value) return false;
  return reviewState.value === "done" ? event.answer !== null : event.answer === null || answeredHere.has(event.id);
}

function query(before: string | null): Record<string, string | null> {
  return { state: reviewState.value, prompt: reviewPrompt.value, feed: reviewFeed.value, before };
}

export async function loadReview(): Promise<void> {
  const newer = new Map<string, ReviewEvent>();
  newerThanLoad = newer;
  let isNewest = false;
  const body = await get<ReviewBody>("review", query(null)).finally(() => {
    isNewest = newerThanLoad === newer;
    if (isNewest) newerThanLoad = null;
  });
  if (!isNewest) return; // another list was asked for meanwhile
  answeredHere.clear();
  byId.value = new Map([...body.events.map((event) => [event.id, event] as const), ...newer]);
  take(body);
}

export async function loadEarlier(): Promise<void> {
  const own = generation;
  const body = await get<ReviewBody>("review", query(nextBefore.value));
  if (own !== generation) return;
  byId.value = new Map([...byId.value, ...body.events.map((event) => [event.id, event] as const)]);
  take(body);
}

function take(body: ReviewBody): void {
  nextBefore.value = body.next_before;
  reviewPrompts.value = body.prompts;
  loads.value += 1;
}

/** Put an event of the stream into the list. Whether it was new to this page. */
export function receiveEvent(event: ReviewEvent): boolean {
  const isNew = !byId.value.has(event.id);
  newerThanLoad?.set(event.id, event);
  if (!isReviewLoaded.value) return isNew; // the first load brings it
  // An event that goes on may come once more before the server has read the answer.
  const given = event.answer ?? answeredHere.get(event.id) ?? null;
  const events = new Map(byId.value).set(event.id, { ...event, answer: given });
  if (events.size > MAX_EVENTS) {
    const oldest = [...events.values()].reduce((a, b) => (a.first_ms <= b.first_ms ? a : b));
    events.delete(oldest.id);
  }
  byId.value = events;
  return isNew;
}

/** Answer at once on the screen; take it back if the server does not keep it. Raises what the server said. */
export async function answer(event: ReviewEvent, value: Answer): Promise<void> {
  const own = generation;
  answeredHere.set(event.id, value);
  byId.value = new Map(byId.value).set(event.id, { ...event, answer: value });
  try {
    const kept = await post<ReviewEvent>(`review/${encodeURIComponent(event.id)}`, { answer: value });
    if (own === generation) byId.value = new Map(byId.value).set(kept.id, kept);
  } catch (failure) {
    if (own !== generation) return; // whoever answered looks no more
    answeredHere.delete(event.id);
    const newest = byId.value.get(event.id) ?? event; // the event may have gone on meanwhile
    byId.value = new Map(byId.value).set(event.id, { ...newest, answer: event.answer });
    throw failure;
  }
}

/** How many answers are on the way at once: the server reads a window for each. */
const AT_ONCE = 4;

/** How many answers of a group were kept, and what the server said of the others. */
export interface GroupOutcome {
  readonly kept: number;
  readonly failures: readonly unknown[];
}

/**
 * Answer several events alike. One that somebody has answered since they were listed keeps that answer. Null if another
 * user looks before the end: then nothing more is sent in that user's name.
 */
export async function answerAll(events: readonly ReviewEvent[], value: Answer): Promise<GroupOutcome | null> {
  const own = generation;
  const waiting = events.map(({ id }) => id);
  const failures: unknown[] = [];
  let kept = 0;
  const send = async (): Promise<void> => {
    for (let id = waiting.shift(); id !== undefined && own === generation; id = waiting.shift()) {
      const event = byId.value.get(id);
      if (event?.answer !== null || !event.can_answer) continue;
      await answer(event, value).then(
        () => kept++,
        (failure: unknown) => failures.push(failure),
      );
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, send));
  return own === generation ? { kept, failures } : null;
}
