import type { JSX } from "preact";
import type { FoundReason, SearchedMoment } from "../../api/shapes";
import { MomentRow } from "../../components/moment-row";
import { searchPictures } from "../../state/search";
import { formats } from "../../text/format";
import { messages } from "../../text/messages";

interface FoundRowProps {
  readonly moment: SearchedMoment;
  readonly words: string;
}

/** A moment, and why it was found. */
export function FoundRow({ moment, words }: FoundRowProps): JSX.Element {
  return (
    <MomentRow
      moment={moment}
      pictures={searchPictures}
      beginMs={moment.at_ms}
      durationMs={moment.end_ms - moment.start_ms}
    >
      {moment.why.map((reason) => (
        <Why key={reason.part} reason={reason} words={words} />
      ))}
    </MomentRow>
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
