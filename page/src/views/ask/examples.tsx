import type { JSX } from "preact";
import { isAsking } from "../../state/ask";
import { messages } from "../../text/messages";

/** Questions of the kinds that are understood. A click asks one. */
export function Examples({ onAsk }: { onAsk: (question: string) => void }): JSX.Element {
  const m = messages.value;
  const questions = [
    m.ask_example_when,
    m.ask_example_how_many,
    m.ask_example_who,
    m.ask_example_while,
    m.ask_example_never,
    m.ask_example_more,
  ];
  return (
    <ul class="ask-examples" aria-label={m.ask_examples}>
      {questions.map((question) => (
        <li key={question}>
          <button type="button" class="button button-small" disabled={isAsking.value} onClick={() => onAsk(question)}>
            {question}
          </button>
        </li>
      ))}
    </ul>
  );
}
