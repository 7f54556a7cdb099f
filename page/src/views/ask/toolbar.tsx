import type { JSX, RefObject } from "preact";
import { Icon } from "../../components/icons";
import { NameFilter } from "../../components/name-filter";
import { askFeed, cancelAsking, exchanges, isAsking, startConversation } from "../../state/ask";
import { feedNames } from "../../state/wall";
import { messages } from "../../text/messages";

interface AskToolbarProps {
  readonly box: RefObject<HTMLInputElement | null>;
  readonly onAsk: (question: string) => void;
  /** Go from the box to the moments. */
  readonly onDown: () => void;
}

export function AskToolbar({ box, onAsk, onDown }: AskToolbarProps): JSX.Element {
  const m = messages.value;
  const submit = (event: Event): void => {
    event.preventDefault();
    const question = box.current?.value.trim() ?? "";
    if (question && !isAsking.value) onAsk(question);
  };
  const press = (event: KeyboardEvent): void => {
    if (event.isComposing) return; // the keys choose among characters
    if (event.key === "Escape" && isAsking.value) cancelAsking();
    if (event.key !== "ArrowDown") return;
    event.preventDefault();
    onDown();
  };
  return (
    <search class="toolbar">
      <form class="search-form ask-form" onSubmit={submit}>
        <label class="field field-search">
          <span class="visually-hidden">{m.ask_question}</span>
          <Icon name="ask" size={16} />
          <input
            ref={box}
            type="text"
            enterkeyhint="send"
            autocomplete="off"
            maxLength={500}
            placeholder={exchanges.value.length ? m.ask_hint_next : m.ask_hint}
            onKeyDown={press}
          />
        </label>
        <button type="submit" class="button button-primary" disabled={isAsking.value}>
          {m.ask}
        </button>
      </form>
      <NameFilter label={m.filter_feeds} all={m.all_feeds} names={feedNames()} chosen={askFeed} />
      {exchanges.value.length > 0 && (
        <button type="button" class="button button-quiet" onClick={startConversation}>
          <Icon name="refresh" size={16} />
          {m.ask_new}
        </button>
      )}
    </search>
  );
}
