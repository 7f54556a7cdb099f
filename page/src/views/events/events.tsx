import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { Answer, ReviewEvent } from "../../api/shapes";
import { Picture } from "../../components/picture";
import { useShortcuts } from "../../components/shortcuts";
import { useWidth } from "../../components/use-size";
import { useVirtualRows } from "../../components/virtual";
import { go } from "../../router";
import { announce, notify } from "../../state/announcements";
import {
  answer,
  answerAll,
  hasMore,
  isReviewLoaded,
  loadEarlier,
  loadReview,
  reviewEvents,
  reviewFeed,
  reviewPrompt,
  reviewState,
} from "../../state/review";
import { explained, mayReview } from "../../state/session";
import { formats } from "../../text/format";
import { messages } from "../../text/messages";
import { EventDetail } from "./detail";
import { groupOf } from "./group";
import { type GroupAnswer, GroupDialog } from "./group-answer";
import { EventsToolbar } from "./toolbar";

const ROW_HEIGHT = 92;
const THUMBNAIL = 128;

/** Matches and alerts, to be judged one after the other with four keys. */
export function Events(): JSX.Element {
  const m = messages.value;
  const scroller = useRef<HTMLDivElement>(null);
  const chosen = useSignal<string | null>(null);
  const asked = useSignal<GroupAnswer | null>(null);
  const events = reviewEvents.value;
  const at = placeOf(events, chosen.value);
  const event = events[at];
  const rows = useVirtualRows(scroller, events.length, ROW_HEIGHT, 4);
  const detailColumn = useRef<HTMLDivElement>(null);
  const detailWidth = useWidth(detailColumn);

  useEffect(() => {
    loadReview().catch((failure: unknown) => notify("bad", explained(failure)));
  }, [reviewState.value, reviewPrompt.value, reviewFeed.value]);
  // The event in view is a fixed one: a new event above it must not take its place.
  // A key may have chosen the next one since this was drawn: only what is not in the list is replaced.
  useEffect(() => {
    const all = reviewEvents.peek();
    if (!all.some(({ id }) => id === chosen.peek())) chosen.value = all[0]?.id ?? null;
  }, [events]);

  const choose = (index: number): void => {
    const all = reviewEvents.peek();
    const next = all[Math.max(0, Math.min(all.length - 1, index))];
    if (!next) return;
    chosen.value = next.id;
    rows.scrollTo(all.indexOf(next));
    announce(spoken(next));
  };
  // Keys may come faster than the page is drawn: what is chosen is asked for when a key is pressed.
  const step = (by: 1 | -1): void => choose(placeOf(reviewEvents.peek(), chosen.peek()) + by);
  const say = (value: Answer): void => {
    const all = reviewEvents.peek();
    const place = placeOf(all, chosen.peek());
    const judged = all[place];
    if (!judged) return;
    if (!mayReview.value) {
      notify("bad", m.read_only);
      return;
    }
    if (!judged.can_answer) return;
    answer(judged, value).catch((failure: unknown) => notify("bad", m.answer_failed(explained(failure))));
    chooseNext(all, place, new Set([judged.id]));
  };
  // The next open event below, or, at the end, the first one above: newer events may have come there.
  const chooseNext = (all: readonly ReviewEvent[], place: number, judged: ReadonlySet<string>): void => {
    const isOpen = (other: ReviewEvent): boolean => other.answer === null && other.can_answer && !judged.has(other.id);
    const below = all.findIndex((other, index) => index > place && isOpen(other));
    const next = below >= 0 ? below : all.findIndex(isOpen);
    choose(next >= 0 ? next : place + 1);
  };
  const ask = (value: Answer): void => {
    const all = reviewEvents.peek();
    const event = all[placeOf(all, chosen.peek())];
    const group = event ? groupOf(event, all) : [];
    if (!mayReview.value) notify("bad", m.read_only);
    else if (group.length > 0) asked.value = { events: group, value };
  };
  const sayOfAll = ({ events: judged, value }: GroupAnswer): void => {
    asked.value = null;
    void answerAll(judged, value).then((outcome) => {
      if (!outcome) return;
      const { kept, failures } = outcome;
      if (failures.length === 0) notify("good", m.group_answered(kept, m[value]));
      else notify("bad", m.group_failed(kept, kept + failures.length, explained(failures.at(-1))));
    });
    const all = reviewEvents.peek();
    chooseNext(all, placeOf(all, chosen.peek()), new Set(judged.map(({ id }) => id)));
  };
  const open = (): void => {
    const opened = reviewEvents.peek()[placeOf(reviewEvents.peek(), chosen.peek())];
    if (opened) go({ view: "feed", feed: opened.feed, atMs: opened.first_ms });
  };

  useShortcuts({
    j: () => step(1),
    k: () => step(-1),
    ArrowDown: () => step(1),
    ArrowUp: () => step(-1),
    y: () => say("yes"),
    n: () => say("no"),
    Y: () => ask("yes"),
    N: () => ask("no"),
    Enter: open,
  });

  return (
    <section class="view events" aria-labelledby="events-title">
      <h1 id="events-title" class="visually-hidden">
        {m.events}
      </h1>
      <EventsToolbar shown={events.length} />
      <div class="events-panes">
        <div class="events-scroller" ref={scroller}>
          {events.length === 0 ? (
            <NothingToReview />
          ) : (
            <ul class="events-list" style={{ height: `${rows.totalHeight}px` }} aria-label={m.events}>
              {rows.items.map((row) => {
                const shown = events[row.index];
                return (
                  shown && (
                    <li
                      key={shown.id}
                      data-event={shown.id}
                      style={{ transform: `translateY(${row.start}px)`, height: `${ROW_HEIGHT}px` }}
                      aria-posinset={row.index + 1}
                      aria-setsize={events.length}
                    >
                      <EventRow event={shown} isChosen={row.index === at} onChoose={() => choose(row.index)} />
                    </li>
                  )
                );
              })}
            </ul>
          )}
          {hasMore.value && events.length > 0 && (
            <button
              type="button"
              class="button events-more"
              onClick={() => void loadEarlier().catch((failure: unknown) => notify("bad", explained(failure)))}
            >
              {m.load_more}
            </button>
          )}
        </div>
        <div class="events-detail" ref={detailColumn}>
          {event && (
            <EventDetail
              event={event}
              width={detailWidth}
              groupSize={groupOf(event, events).length}
              onAnswer={say}
              onAnswerGroup={ask}
              onOpen={open}
            />
          )}
        </div>
      </div>
      {asked.value && (
        <GroupDialog
          given={asked.value}
          onConfirm={() => asked.value && sayOfAll(asked.value)}
          onClose={() => {
            asked.value = null;
          }}
        />
      )}
    </section>
  );
}

/** Where an event is in the list; the beginning if it is not there. */
function placeOf(events: readonly ReviewEvent[], id: string | null): number {
  return Math.max(
    0,
    events.findIndex((event) => event.id === id),
  );
}

interface EventRowProps {
  readonly event: ReviewEvent;
  readonly isChosen: boolean;
  readonly onChoose: () => void;
}

function EventRow({ event, isChosen, onChoose }: EventRowProps): JSX.Element {
  const m = messages.value;
  const words = event.words.map(({ text }) => text).join(" ");
  return (
    <button type="button" class="event-row" aria-current={isChosen ? "true" : undefined} onClick={onChoose}>
      <span class="event-thumbnail">
        <Picture picture={event.picture} width={THUMBNAIL} alt="" />
      </span>
      <span class="event-text">
        <span class="event-head">
          <bdi class="event-name">{event.prompt ?? event.rule ?? m[`kind_${event.kind}`]}</bdi>
          {event.score !== null && <b class="event-score">{formats.value.score(event.score)}</b>}
        </span>
        <span class="event-feed">
          <bdi>{event.feed}</bdi>
          <time>{formats.value.moment(event.first_ms)}</time>
        </span>
        <span class="event-words" dir="auto">
          {event.description?.title || words}
        </span>
      </span>
      <AnswerMark answer={event.answer} />
    </button>
  );
}

function AnswerMark({ answer: given }: { answer: Answer | null }): JSX.Element | null {
  if (given === null) return null;
  return <span class={`answer answer-${given}`}>{messages.value[given]}</span>;
}

function NothingToReview(): JSX.Element {
  const m = messages.value;
  if (!isReviewLoaded.value) return <p class="empty">{m.loading}</p>;
  if (reviewState.value === "done") return <p class="empty">{m.no_events_done}</p>;
  return (
    <div class="empty">
      <p class="empty-title">{m.no_events}</p>
      <p>{m.no_events_help}</p>
    </div>
  );
}

function spoken(event: ReviewEvent): string {
  const m = messages.value;
  const given = event.answer ? m.answered(m[event.answer]) : "";
  return [event.prompt ?? event.rule, event.feed, formats.value.moment(event.first_ms), given]
    .filter(Boolean)
    .join(", ");
}
