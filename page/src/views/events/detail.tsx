import type { JSX } from "preact";
import type { Answer, ReviewEvent } from "../../api/shapes";
import { Description } from "../../components/description";
import { Icon } from "../../components/icons";
import { Picture } from "../../components/picture";
import { mayReview } from "../../state/session";
import { formats } from "../../text/format";
import { messages } from "../../text/messages";

interface EventDetailProps {
  readonly event: ReviewEvent;
  readonly width: number;
  /** How many open events, this one included, are of the same prompt and feed. */
  readonly groupSize: number;
  readonly onAnswer: (value: Answer) => void;
  readonly onAnswerGroup: (value: Answer) => void;
  readonly onOpen: () => void;
}

export function EventDetail(props: EventDetailProps): JSX.Element {
  const { event, width, groupSize, onAnswer, onAnswerGroup, onOpen } = props;
  const m = messages.value;
  const f = formats.value;
  return (
    <article class="event-detail panel" aria-label={m.event_detail} data-event={event.id}>
      <Picture
        picture={event.picture}
        width={width || 640}
        alt={m.picture_of(
          event.feed,
          f.clock(event.picture?.at_ms ?? event.first_ms),
          event.prompt ?? event.rule ?? "",
        )}
      />
      <header class="event-detail-head">
        <div>
          <h2>
            <bdi>{event.prompt ?? event.rule}</bdi>
          </h2>
          <p class="muted">
            {m[`kind_${event.kind}`]} · <bdi>{event.feed}</bdi> · <time>{f.moment(event.first_ms)}</time> ·{" "}
            {f.duration((event.last_ms - event.first_ms) / 1_000)} · {m.event_windows(event.windows)}
          </p>
        </div>
        {event.score !== null && <Score value={event.score} />}
      </header>
      {event.words.length > 0 && (
        <blockquote class="words" aria-label={m.words}>
          {event.words.map(({ text, at_ms, language }) => (
            <p key={`${at_ms}${text}`} dir="auto" {...(language ? { lang: language } : {})}>
              {text}
            </p>
          ))}
        </blockquote>
      )}
      {event.description && <Description description={event.description} />}
      {groupSize > 1 && mayReview.value && (
        <fieldset class="group-answer">
          <legend>{m.group_of(groupSize, event.prompt ?? "", event.feed)}</legend>
          {(["yes", "no"] as const).map((value) => (
            <button key={value} type="button" class="button" onClick={() => onAnswerGroup(value)}>
              {m.answer_group_n(groupSize, m[value])}{" "}
              <span class="key" aria-hidden="true">
                ⇧{value[0]}
              </span>
            </button>
          ))}
        </fieldset>
      )}
      <footer class="event-answer">
        {event.can_answer && (
          <fieldset class="answer-buttons" disabled={!mayReview.value}>
            <legend>{mayReview.value ? m.review_question : m.read_only}</legend>
            <button
              type="button"
              class="button button-yes"
              aria-pressed={event.answer === "yes"}
              onClick={() => onAnswer("yes")}
            >
              <Icon name="check" />
              {m.yes}{" "}
              <span class="key" aria-hidden="true">
                y
              </span>
            </button>
            <button
              type="button"
              class="button button-no"
              aria-pressed={event.answer === "no"}
              onClick={() => onAnswer("no")}
            >
              <Icon name="close" />
              {m.no}{" "}
              <span class="key" aria-hidden="true">
                n
              </span>
            </button>
          </fieldset>
        )}
        <button type="button" class="button" onClick={onOpen}>
          <Icon name="play" size={14} />
          {m.open_moment}{" "}
          <span class="key" aria-hidden="true">
            ↵
          </span>
        </button>
      </footer>
    </article>
  );
}

function Score({ value }: { value: number }): JSX.Element {
  return (
    <span class="score">
      <meter min={0} max={1} value={value} aria-label={messages.value.matches} />
      <b>{formats.value.score(value)}</b>
    </span>
  );
}
