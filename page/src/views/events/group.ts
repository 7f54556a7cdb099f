import type { ReviewEvent } from "../../api/shapes";

/** The open events in the list that ask what an event asks: those of its prompt on its feed. */
export function groupOf(event: ReviewEvent, events: readonly ReviewEvent[]): ReviewEvent[] {
  return events.filter(
    (other) => other.answer === null && other.can_answer && other.prompt === event.prompt && other.feed === event.feed,
  );
}
