import type { JSX } from "preact";
import { useRef } from "preact/hooks";
import type { CitedMoment } from "../../api/shapes";
import { Picture } from "../../components/picture";
import { usePictureInView } from "../../components/use-picture-in-view";
import { addressOf } from "../../router";
import { askPictures, type Exchange } from "../../state/ask";
import { formats } from "../../text/format";
import { messages } from "../../text/messages";

const THUMBNAIL = 160;

/** Where a moment is on the time line of its feed. */
export function citedAddress(moment: CitedMoment): string {
  return addressOf({ view: "feed", feed: moment.feed, atMs: moment.at_ms, windowId: moment.window_id });
}

/** The element of a moment, by the answer that cites it. */
export function citedId(exchange: Exchange, moment: CitedMoment): string {
  return `cited-${exchange.id}-${moment.number}`;
}

/** A moment that an answer rests on. It leads to the time line of its feed, if the page still has that time. */
export function CitedRow({ id, moment }: { id: string; moment: CitedMoment }): JSX.Element {
  const m = messages.value;
  const row = useRef<HTMLLIElement>(null);
  usePictureInView(row, moment, askPictures);
  const content = (
    <>
      <span class="found-thumbnail">
        <Picture picture={askPictures.of(moment)} width={THUMBNAIL} alt="" />
      </span>
      <span class="found-text">
        <span class="found-head">
          <span class="cite" aria-hidden="true">
            {moment.number}
          </span>
          <bdi class="found-feed">{moment.feed}</bdi>
          <time>{formats.value.moment(moment.start_ms)}</time>
          <span>{formats.value.duration((moment.end_ms - moment.start_ms) / 1_000)}</span>
        </span>
        <span class="found-why">
          <b class="found-part">{moment.is_said ? m.found_text : m.ask_shown}</b>
          <span class="found-words" dir="auto">
            {moment.text}
          </span>
          {moment.count !== null && <span class="found-how">{m.ask_at_once(moment.count)}</span>}
        </span>
      </span>
    </>
  );
  return (
    <li ref={row} id={id} data-result={moment.result}>
      {moment.is_kept ? (
        <a class="found-row" href={citedAddress(moment)}>
          {content}
        </a>
      ) : (
        <div class="found-row">
          {content}
          <p class="found-gone muted">
            {m.found_not_kept} <code>triptych evidence {moment.result}</code>
          </p>
        </div>
      )}
    </li>
  );
}
