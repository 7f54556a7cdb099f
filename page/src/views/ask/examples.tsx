import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import { isAsking } from "../../state/ask";
import { isLoaded } from "../../state/wall";
import { messages } from "../../text/messages";
import { exampleNames } from "./example-names";

/** Questions of the kinds that are understood. A click asks one. */
export function Examples({ onAsk }: { onAsk: (question: string) => void }): JSX.Element {
  const m = messages.value;
  // Once, not with each new window: a button must not change under the pointer.
  const questions = useMemo(() => {
    const { things, word } = exampleNames();
    const [thing, other] = things;
    return [
      m.ask_example_when(thing),
      m.ask_example_how_many(thing),
      m.ask_example_who(word),
      m.ask_example_while(word),
      m.ask_example_never,
      m.ask_example_more(thing, other),
    ];
  }, [m, isLoaded.value]);
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
