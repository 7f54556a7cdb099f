import type { JSX } from "preact";
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
      <label class="field">
        <span class="visually-hidden">{m.filter_prompt}</span>
        <select value={reviewPrompt.value} onChange={(event) => set(reviewPrompt, event.currentTarget.value)}>
          <option value="">{m.all_prompts}</option>
          {reviewPrompts.value.map((name) => (
            <option key={name} value={name}>
              {name}
            </option>
          ))}
        </select>
      </label>
      <label class="field">
        <span class="visually-hidden">{m.filter_feeds}</span>
        <select value={reviewFeed.value} onChange={(event) => set(reviewFeed, event.currentTarget.value)}>
          <option value="">{m.all_feeds}</option>
          {feedNames().map((name) => (
            <option key={name} value={name}>
              {name}
            </option>
          ))}
        </select>
      </label>
      <span class="toolbar-hints" aria-hidden="true">
        <span>
          <kbd>j</kbd> <kbd>k</kbd> {m.hint_next}
        </span>
        <span>
          <kbd>y</kbd> <kbd>n</kbd> {m.hint_answer}
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
