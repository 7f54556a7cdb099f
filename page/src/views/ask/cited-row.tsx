import type { JSX } from "preact";
import type { CitedMoment } from "../../api/shapes";
import { MomentRow } from "../../components/moment-row";
import { askPictures, type Exchange } from "../../state/ask";
import { messages } from "../../text/messages";

/** The element of a moment, by the answer that cites it. */
export function citedId(exchange: Exchange, moment: CitedMoment): string {
  return `cited-${exchange.id}-${moment.number}`;
}

/** The moments of an answer, those of the same window together: what was said then, and what was shown. */
export function byWindow(moments: readonly CitedMoment[]): CitedMoment[][] {
  const groups: CitedMoment[][] = [];
  for (const moment of moments) {
    const last = groups.at(-1);
    if (last?.[0]?.feed === moment.feed && last[0].window_id === moment.window_id) last.push(moment);
    else groups.push([moment]);
  }
  return groups;
}

interface CitedRowProps {
  readonly exchange: Exchange;
  /** Of one window. */
  readonly moments: readonly CitedMoment[];
}

/** Moments that an answer rests on. They lead to the time line of their feed, if the page still has that time. */
export function CitedRow({ exchange, moments }: CitedRowProps): JSX.Element | null {
  const [moment] = moments;
  return moment ? <WindowRow exchange={exchange} moments={moments} moment={moment} /> : null;
}

function WindowRow({ exchange, moments, moment }: CitedRowProps & { readonly moment: CitedMoment }): JSX.Element {
  const m = messages.value;
  const kinds = { said: m.found_text, seen: m.found_video, heard: m.found_audio };
  const startMs = Math.min(...moments.map((one) => one.start_ms));
  const endMs = Math.max(...moments.map((one) => one.end_ms));
  return (
    <MomentRow moment={moment} pictures={askPictures} beginMs={startMs} durationMs={endMs - startMs}>
      {moments.map((one) => (
        <span class="found-why" key={one.number} id={citedId(exchange, one)}>
          <span class="cite" aria-hidden="true">
            {one.number}
          </span>
          <b class="found-part">{kinds[one.kind]}</b>
          <span class="found-words" dir="auto">
            {one.text}
          </span>
          {one.count !== null && <span class="found-how">{m.ask_at_once(one.count)}</span>}
        </span>
      ))}
    </MomentRow>
  );
}
