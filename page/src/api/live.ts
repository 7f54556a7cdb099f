/**
 * The one stream of server-sent events of the page.
 *
 * It goes on where it ended: each event carries a cursor, and each new connection names the last one. The browser
 * reconnects by itself after a network failure only; any other answer than 200 (a proxy's 502) closes its stream, so
 * this reconnects then, each time later, up to `MAX_WAIT_MS`.
 */
import { signal } from "@preact/signals";
import { address } from "./client";

const FIRST_WAIT_MS = 500;
const MAX_WAIT_MS = 10_000;

export type LiveState = "connecting" | "live" | "lost";

export interface LiveHandlers {
  readonly event: (type: string, data: string) => void;
  /** The cursor is too old: everything must be loaded again. */
  readonly gone: () => void;
  readonly connected: (again: boolean) => void;
  /** The server, or a proxy, gave another answer than a stream: perhaps the session has ended. It is tried again. */
  readonly refused: () => void;
}

export const liveState = signal<LiveState>("connecting");

export class LiveStream {
  private source: EventSource | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private waitMs = FIRST_WAIT_MS;
  private wasLive = false;

  constructor(
    private cursor: string,
    private readonly types: readonly string[],
    private readonly handlers: LiveHandlers,
  ) {
    this.open();
  }

  close(): void {
    clearTimeout(this.timer);
    this.source?.close();
    this.source = null;
  }

  private open(): void {
    const source = new EventSource(address("events", { cursor: this.cursor }));
    this.source = source;
    source.onopen = () => {
      this.waitMs = FIRST_WAIT_MS;
      liveState.value = "live";
      this.handlers.connected(this.wasLive);
      this.wasLive = true;
    };
    source.onerror = () => {
      liveState.value = this.wasLive ? "lost" : "connecting";
      if (source.readyState !== EventSource.CLOSED) return;
      this.reopenLater();
      this.handlers.refused();
    };
    for (const type of this.types) {
      source.addEventListener(type, (event) => {
        const message = event as MessageEvent<string>;
        if (message.lastEventId) this.cursor = message.lastEventId;
        this.handlers.event(type, message.data);
      });
    }
    source.addEventListener("gone", () => {
      this.close();
      this.handlers.gone();
    });
  }

  private reopenLater(): void {
    this.close();
    this.timer = setTimeout(() => this.open(), this.waitMs);
    this.waitMs = Math.min(this.waitMs * 2, MAX_WAIT_MS);
  }
}
