// Drops what a reader has had already: results that were published twice, and revisions older than a known one.
import type { ResultRecord } from "./record.js";

const REMEMBERED_WINDOWS = 65_536;

/** Remembers the newest revision of the windows seen last. */
export class NewestRevisions {
  readonly #revisions = new Map<string, number>();
  readonly #remembered: number;

  constructor(remembered = REMEMBERED_WINDOWS) {
    this.#remembered = remembered;
  }

  /** Returns whether a result is new: the first of its window, or a newer revision than those before. */
  isNew(record: ResultRecord): boolean {
    const known = this.#revisions.get(record.window);
    return known === undefined || known < record.result.revision;
  }

  /** Remembers a new result. Call it when the result has been handled: what failed has to come again. */
  note(record: ResultRecord): void {
    this.#revisions.delete(record.window); // so that the map is in the order of the last results
    this.#revisions.set(record.window, record.result.revision);
    if (this.#revisions.size > this.#remembered) {
      const [oldest] = this.#revisions.keys();
      this.#revisions.delete(oldest as string);
    }
  }
}
