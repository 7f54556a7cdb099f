import type { JSX } from "preact";
import { NameFilter } from "../../components/name-filter";
import { reviewFeed, reviewPrompt, reviewPrompts, reviewState } from "../../state/review";
import { set } from "../../state/set";
import { feedNames } from "../../state/wall";
import { messages } from "../../text/messages";

export function EventsToolbar({ shown }: { shown: number }): JSX.Element {
  const m = messages.value;
  return (
    <search class="toolbar">
      <fieldset class="segments">
        <legend class="visually-hidden">{m.state}</legend>
        {(["open", "done"] as const).map((state) => (
          <button
            key={state}
            type="button"
            class="segment"
            aria-pressed={reviewState.value === state}
            onClick={() => set(reviewState, state)}
          >
            {m[`review_${state}`]}
          </button>
        ))}
      </fieldset>
      <NameFilter label={m.filter_prompt} all={m.all_prompts} names={reviewPrompts.value} chosen={reviewPrompt} />
      <NameFilter label={m.filter_feeds} all={m.all_feeds} names={feedNames()} chosen={reviewFeed} />
      <span class="toolbar-hints" aria-hidden="true">
        <span>
          <kbd>j</kbd> <kbd>k</kbd> {m.hint_next}
        </span>
        <span>
          <kbd>y</kbd> <kbd>n</kbd> {m.hint_answer}
        </span>
        <span>
          <kbd>⇧y</kbd> <kbd>⇧n</kbd> {m.hint_answer_group}
        </span>
        <span>
          <kbd>↵</kbd> {m.open_moment}
        </span>
      </span>
      <span class="toolbar-status">
        {reviewState.value === "open" ? m.events_shown(shown) : m.answers_shown(shown)}
      </span>
    </search>
  );
}
