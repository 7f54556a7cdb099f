import type { JSX } from "preact";
import { useRef } from "preact/hooks";
import type { FoundReason, PictureLink, SearchedMoment } from "../../api/shapes";
import { Picture } from "../../components/picture";
import { usePictureInView } from "../../components/use-picture-in-view";
import { addressOf } from "../../router";
import { searchPictures } from "../../state/search";
import { formats } from "../../text/format";
import { messages } from "../../text/messages";

const THUMBNAIL = 160;

interface FoundRowProps {
  readonly moment: SearchedMoment;
  readonly picture: PictureLink | null;
  readonly words: string;
}

/** A moment, and why it was found. It leads to the time line of its feed, if the page still has that time. */
export function FoundRow({ moment, picture, words }: FoundRowProps): JSX.Element {
  const m = messages.value;
  const row = useRef<HTMLLIElement>(null);
  usePictureInView(row, moment, searchPictures);
  const content = (
    <>
      <span class="found-thumbnail">
        <Picture picture={picture} width={THUMBNAIL} alt="" />
      </span>
      <span class="found-text">
        <span class="found-head">
          <bdi class="found-feed">{moment.feed}</bdi>
          <time>{formats.value.moment(moment.at_ms)}</time>
          <span>{formats.value.duration((moment.end_ms - moment.start_ms) / 1_000)}</span>
        </span>
        {moment.why.map((reason) => (
          <Why key={reason.part} reason={reason} words={words} />
        ))}
      </span>
    </>
  );
  const to = { view: "feed", feed: moment.feed, atMs: moment.at_ms, windowId: moment.window_id } as const;
  return (
    <li data-result={moment.result} ref={row}>
      {moment.is_kept ? (
        <a class="found-row" href={addressOf(to)}>
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

function Why({ reason, words }: { reason: FoundReason; words: string }): JSX.Element {
  const m = messages.value;
  const { part, text, by_words, similarity } = reason;
  const how = [
    by_words ? m.found_by_words : "",
    similarity === null ? "" : m.found_by_meaning(formats.value.score(similarity)),
  ].filter(Boolean);
  return (
    <span class="found-why">
      <b class="found-part">{m[`found_${part}`]}</b>
      <span class="found-words" dir="auto">
        <Highlighted text={text} words={words} />
      </span>
      {how.length > 0 && <span class="found-how">{how.join(" · ")}</span>}
    </span>
  );
}

/** A text in which the words of the query are marked as they stand. */
function Highlighted({ text, words }: { text: string; words: string }): JSX.Element {
  const wanted = words.split(/\s+/).filter(Boolean).map(literally);
  if (wanted.length === 0) return <>{text}</>;
  // What a group catches stands at the odd places.
  const parts = text.split(new RegExp(`(${wanted.join("|")})`, "giu"));
  return <>{parts.map((part, index) => (index % 2 ? <mark key={`${index} ${part}`}>{part}</mark> : part))}</>;
}

function literally(word: string): string {
  return word.replace(/[\\^$.*+?()[\]{}|]/gu, "\\$&");
}
