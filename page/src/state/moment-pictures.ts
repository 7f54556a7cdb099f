import { signal } from "@preact/signals";
import { feedPath, get } from "../api/client";
import type { PictureLink, SearchedMoment, WindowBody } from "../api/shapes";

/** A moment that may have a picture: of a search, or of an answer. */
export type PicturedMoment = Pick<SearchedMoment, "feed" | "window_id" | "result" | "is_kept" | "picture">;

/** Pictures of windows that are kept as one with others: read for moments in view, one after the other. */
export class MomentPictures {
  /** The pictures by the result. */
  readonly shown = signal<ReadonlyMap<string, PictureLink>>(new Map());
  /** Moments in view whose pictures are still to be read, by the result. */
  readonly #wanted = new Map<string, PicturedMoment>();
  /** The results whose pictures were asked for, whether there were some or not. */
  readonly #asked = new Set<string>();
  #abort = new AbortController();
  #isLoading = false;

  /** Forget all, and give up what is being read. */
  startAnew(): void {
    this.#abort.abort();
    this.#abort = new AbortController();
    this.#isLoading = false;
    this.#wanted.clear();
    this.#asked.clear();
    this.shown.value = new Map();
  }

  /** Return the picture of a moment, if it is known by now. */
  of(moment: PicturedMoment): PictureLink | null {
    return moment.picture ?? this.shown.value.get(moment.result) ?? null;
  }

  /**
   * Look for the picture of a moment that has come into view, if it has none yet.
   *
   * The function that is returned gives up what has not begun: for a moment that leaves the view.
   */
  want(moment: PicturedMoment): () => void {
    if (!moment.picture && moment.is_kept && !this.#asked.has(moment.result)) {
      this.#wanted.set(moment.result, moment);
      void this.#load();
    }
    return () => this.#wanted.delete(moment.result);
  }

  async #load(): Promise<void> {
    if (this.#isLoading) return;
    this.#isLoading = true;
    const { signal: own } = this.#abort;
    for (let next = first(this.#wanted); next && !own.aborted; next = first(this.#wanted)) {
      this.#wanted.delete(next.result);
      this.#asked.add(next.result);
      const path = `${feedPath(next.feed)}/windows/${encodeURIComponent(next.window_id)}`;
      const body = await get<WindowBody>(path, {}, own).catch(() => null); // not kept any more: no picture
      const picture = body?.pictures.at(-1);
      if (picture && !own.aborted) this.shown.value = new Map(this.shown.value).set(next.result, picture);
    }
    if (!own.aborted) this.#isLoading = false; // else another one loads by now
  }
}

function first<Value>(values: ReadonlyMap<string, Value>): Value | undefined {
  return values.values().next().value;
}
