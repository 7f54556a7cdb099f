import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { AskBody } from "../../api/shapes";
import { Icon } from "../../components/icons";
import { Marked } from "../../components/marked";
import { momentAddress } from "../../components/moment-row";
import { cancelAsking, type Exchange, isAsking } from "../../state/ask";
import { nowMs } from "../../state/clock";
import { formats } from "../../text/format";
import { messages } from "../../text/messages";
import { byWindow, CitedRow, citedId } from "./cited-row";
import { Examples } from "./examples";

/** How many windows of an answer are shown at first: the answer before stays within reach. */
const FIRST_SHOWN = 5;

interface ExchangeProps {
  readonly exchange: Exchange;
  readonly onAsk: (question: string) => void;
}

/** A question and its answer, or how long it takes, or why there is none. */
export function ExchangeRow({ exchange, onAsk }: ExchangeProps): JSX.Element {
  const { question, outcome } = exchange;
  return (
    <li class="exchange">
      <h2 class="exchange-question" dir="auto">
        {question}
      </h2>
      {outcome === null ? (
        <Waiting sinceMs={exchange.askedMs} />
      ) : "failure" in outcome ? (
        <Failed failure={outcome.failure} onAgain={() => onAsk(question)} />
      ) : (
        <Answered exchange={exchange} answer={outcome} onAsk={onAsk} />
      )}
    </li>
  );
}

function Waiting({ sinceMs }: { sinceMs: number }): JSX.Element {
  const m = messages.value;
  const seconds = Math.max(0, Math.round((nowMs.value - sinceMs) / 1_000));
  return (
    <div class="exchange-line">
      <progress class="exchange-progress" aria-label={m.ask_waiting} />
      <span>{m.ask_waiting}</span>
      <span class="muted">{formats.value.number(seconds)} s</span>
      <button type="button" class="button button-small" onClick={cancelAsking}>
        {m.ask_cancel} <kbd>{m.escape_key}</kbd>
      </button>
    </div>
  );
}

function Failed({ failure, onAgain }: { failure: string; onAgain: () => void }): JSX.Element {
  const m = messages.value;
  return (
    <div class="exchange-line">
      {failure ? (
        <p class="exchange-failure" role="alert">
          <Marked text={failure} />
        </p>
      ) : (
        <p class="muted">{m.ask_cancelled}</p>
      )}
      <button type="button" class="button button-small" disabled={isAsking.value} onClick={onAgain}>
        {m.ask_again}
      </button>
    </div>
  );
}

interface AnsweredProps {
  readonly exchange: Exchange;
  readonly answer: AskBody;
  readonly onAsk: (question: string) => void;
}

function Answered({ exchange, answer, onAsk }: AnsweredProps): JSX.Element {
  const m = messages.value;
  const { outcome, worded, brief, moments } = answer;
  const lang = answer.language === "zh" ? "zh-CN" : "en";
  return (
    <>
      {exchange.stoodAlone && <p class="exchange-note">{m.ask_forgotten}</p>}
      <p class={`exchange-answer exchange-${outcome}`} lang={lang} dir="auto">
        {outcome !== "answered" && <Icon name="unknown" />}
        <span>{worded ? <Cited exchange={exchange} answer={answer} /> : brief}</span>
      </p>
      {worded && worded !== brief && (
        <p class="exchange-note">
          <b>{m.ask_by_rules}</b>{" "}
          <span lang={lang} dir="auto">
            {brief}
          </span>
        </p>
      )}
      <Notes answer={answer} />
      {outcome === "not_understood" && <Examples onAsk={onAsk} />}
      {moments.length > 0 && <Moments exchange={exchange} answer={answer} />}
    </>
  );
}

/** The moments of an answer: the first ones, until all are wanted. */
function Moments({ exchange, answer }: { exchange: Exchange; answer: AskBody }): JSX.Element {
  const m = messages.value;
  const { moments } = answer;
  const windows = byWindow(moments);
  const [showsAll, setShowsAll] = useState(windows.length <= FIRST_SHOWN + 1);
  const shown = showsAll ? windows : windows.slice(0, FIRST_SHOWN);
  return (
    <>
      <ol class="found-list exchange-moments" aria-label={m.ask_moments}>
        {shown.map((ofWindow) => (
          <CitedRow key={ofWindow[0]?.number} exchange={exchange} moments={ofWindow} />
        ))}
      </ol>
      {!showsAll && (
        <button type="button" class="button button-small exchange-all" onClick={() => setShowsAll(true)}>
          {m.ask_show_all(moments.length)}
        </button>
      )}
      {showsAll && answer.more_moments > 0 && <p class="exchange-note">{m.ask_more_moments(answer.more_moments)}</p>}
    </>
  );
}

function Notes({ answer }: { answer: AskBody }): JSX.Element {
  const m = messages.value;
  // The sentences of the rules name no times here.
  const hasOtherZone = answer.worded !== "" && answer.moments.length > 0 && formats.value.zone() !== "UTC";
  const notes = [
    ...answer.notes,
    ...(answer.has_model_failed ? [m.ask_model_failed] : []),
    ...(answer.is_restricted ? [m.ask_restricted] : []),
    ...(hasOtherZone ? [m.ask_utc(formats.value.zone())] : []),
  ];
  return (
    <>
      {notes.map((note) => (
        <p key={note} class="exchange-note" dir="auto">
          {note}
        </p>
      ))}
    </>
  );
}

/** What a language model wrote, with its numbers in brackets as links to the moments. */
function Cited({ exchange, answer }: { exchange: Exchange; answer: AskBody }): JSX.Element {
  // What the group catches stands at the odd places.
  const parts = answer.worded.split(/\[(\d{1,3})\]/);
  return (
    <>
      {parts.map((part, index) => {
        if (index % 2 === 0) return part;
        const moment = answer.moments.find(({ number }) => String(number) === part);
        if (!moment) return `[${part}]`;
        const label = messages.value.ask_source(part);
        return moment.is_kept ? (
          <a key={`${index} ${part}`} class="cite" href={momentAddress(moment)} aria-label={label}>
            {part}
          </a>
        ) : (
          <span key={`${index} ${part}`} class="cite" title={label} aria-describedby={citedId(exchange, moment)}>
            {part}
          </span>
        );
      })}
    </>
  );
}
