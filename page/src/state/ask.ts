/** The questions that were asked, and their answers. They stay when one looks at a moment and comes back. */
import { computed, signal } from "@preact/signals";
import { ApiError, post } from "../api/client";
import type { AskBody } from "../api/shapes";
import { messages } from "../text/messages";
import { announce } from "./announcements";
import { MomentPictures } from "./moment-pictures";
import { explained } from "./session";

/** A question, and what came of it: null while it is being answered. */
export interface Exchange {
  readonly id: number;
  readonly question: string;
  readonly askedMs: number;
  readonly outcome: AskBody | Failure | null;
  /** Whether the server had forgotten the answer before, which the question may refer to. */
  readonly stoodAlone?: boolean;
}

/** Why there is no answer; empty if the question was cancelled. */
export interface Failure {
  readonly failure: string;
}

const MOST = 30;
/** The server needs a moment to end a question that was cancelled. */
const RETRIES = 5;
const RETRY_MS = 500;

/** The newest first. */
export const exchanges = signal<readonly Exchange[]>([]);
export const askFeed = signal("");
export const isAsking = computed(() => exchanges.value[0]?.outcome === null);
export const askPictures = new MomentPictures();

let conversation = "";
let nextId = 1;
let running: AbortController | null = null;

/** Ask a question, which may refer to the one before. One at a time. */
export async function ask(question: string): Promise<void> {
  const text = question.trim();
  if (!text || isAsking.value) return;
  const abort = new AbortController();
  running = abort;
  const id = nextId++;
  exchanges.value = [{ id, question: text, askedMs: Date.now(), outcome: null }, ...exchanges.value].slice(0, MOST);
  try {
    const body = await answerTo(text, abort.signal);
    if (abort.signal.aborted) return;
    const stoodAlone = conversation !== "" && !body.is_continued;
    conversation = body.conversation;
    end(id, body, stoodAlone);
    announce([stoodAlone ? messages.value.ask_forgotten : "", body.worded || body.brief].join(" ").trim());
  } catch (failure) {
    if (!abort.signal.aborted) end(id, { failure: explained(failure) });
  }
}

/** Give up the question that is being answered. The server ends it when the request does. */
export function cancelAsking(): void {
  const [newest] = exchanges.value;
  if (newest?.outcome !== null) return;
  running?.abort();
  end(newest.id, { failure: "" });
  announce(messages.value.ask_cancelled);
}

/** Begin a new conversation: the next question refers to none before. */
export function startConversation(): void {
  cancelAsking();
  conversation = "";
  exchanges.value = [];
  askPictures.startAnew();
}

/** Know neither what was asked nor what was answered. */
export function forgetAsk(): void {
  startConversation();
  askFeed.value = "";
}

async function answerTo(question: string, abort: AbortSignal): Promise<AskBody> {
  for (let retries = 0; ; retries++) {
    try {
      return await post<AskBody>("ask", { question, conversation, feed: askFeed.value }, abort);
    } catch (failure) {
      if (abort.aborted || !(failure instanceof ApiError) || failure.status !== 409 || retries === RETRIES)
        throw failure;
    }
    await new Promise((done) => setTimeout(done, RETRY_MS));
  }
}

function end(id: number, outcome: AskBody | Failure, stoodAlone = false): void {
  exchanges.value = exchanges.value.map((one) => (one.id === id ? { ...one, outcome, stoodAlone } : one));
}
