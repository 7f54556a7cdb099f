import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { feedPath, get } from "../../api/client";
import type { TimelineWindow, WindowBody } from "../../api/shapes";
import { explained } from "../../state/session";
import { formats } from "../../text/format";
import { messages } from "../../text/messages";
import { Evidence } from "./evidence";
import { Player } from "./player";

interface MomentProps {
  readonly feed: string;
  readonly window: TimelineWindow | null;
  readonly isPlaying: boolean;
  readonly onPlaying: (isPlaying: boolean) => void;
  /** Go to the next window or the one before. False if there is none. */
  readonly onStep: (direction: 1 | -1) => boolean;
}

/** The chosen window: its pictures with its sound, and why its result is what it is. */
export function Moment({ feed, window, isPlaying, onPlaying, onStep }: MomentProps): JSX.Element {
  const m = messages.value;
  const [body, setBody] = useState<WindowBody | null>(null);
  const [failure, setFailure] = useState("");
  const windowId = window?.window_id ?? null;
  const place = useRef<HTMLElement>(null);

  useEffect(() => {
    if (windowId === null) {
      setBody(null);
      return;
    }
    const abort = new AbortController();
    setFailure("");
    get<WindowBody>(`${feedPath(feed)}/windows/${encodeURIComponent(windowId)}`, {}, abort.signal).then(
      setBody,
      (reason: unknown) => {
        if (abort.signal.aborted) return;
        setBody(null);
        setFailure(explained(reason));
        onPlaying(false);
      },
    );
    return () => abort.abort();
  }, [feed, windowId, window?.revision]);

  if (!window) {
    return (
      <aside class="moment panel moment-none" aria-label={m.moment}>
        <p class="muted">{m.choose_moment}</p>
      </aside>
    );
  }
  return (
    <aside class="moment panel" aria-label={m.moment_at(formats.value.clock(window.start_ms))} ref={place}>
      {failure && (
        <p class="bad" role="alert">
          {failure}
        </p>
      )}
      {!body && !failure && <p class="empty">{m.loading}</p>}
      {body && (
        <>
          <Player
            feed={feed}
            body={body}
            isPlaying={isPlaying}
            onPlaying={onPlaying}
            onEnd={() => {
              if (!onStep(1)) onPlaying(false);
            }}
            onStep={onStep}
          />
          <Evidence body={body} />
        </>
      )}
    </aside>
  );
}
