import type { JSX } from "preact";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { stepToMoment } from "../../components/moment-row";
import { useShortcuts } from "../../components/shortcuts";
import { replace } from "../../router";
import { ask, cancelAsking, exchanges, isAsking } from "../../state/ask";
import { messages } from "../../text/messages";
import { Examples } from "./examples";
import { ExchangeRow } from "./exchange";
import { AskToolbar } from "./toolbar";

/** Questions in one's own words, and answers that rest on moments. `text` is a question that waits to be asked. */
export function Ask({ text }: { text: string }): JSX.Element {
  const m = messages.value;
  const box = useRef<HTMLInputElement>(null);
  const list = useRef<HTMLOListElement>(null);

  // Whoever comes back to answers wants to go on among their moments, by keys.
  useLayoutEffect(() => {
    if (exchanges.peek().length === 0) box.current?.focus();
  }, []);
  useEffect(() => {
    if (!box.current || !text) return;
    box.current.value = text;
    box.current.focus();
  }, [text]);

  const put = (question: string): void => {
    if (text) replace({ view: "ask", text: "" }); // who comes back would find the question in the box again
    if (box.current) box.current.value = "";
    void ask(question);
    box.current?.focus();
  };
  const step = (by: 1 | -1): void => stepToMoment(list.current, by);
  useShortcuts({
    "/": () => box.current?.focus(),
    j: () => step(1),
    k: () => step(-1),
    ArrowDown: () => step(1),
    ArrowUp: () => step(-1),
    Escape: cancelAsking,
  });

  return (
    <section class="view ask" aria-labelledby="ask-title">
      <h1 id="ask-title" class="visually-hidden">
        {m.ask}
      </h1>
      <AskToolbar box={box} onAsk={put} onDown={() => step(1)} />
      <div class="search-scroller ask-scroller" aria-busy={isAsking.value}>
        {exchanges.value.length === 0 ? (
          <div class="empty ask-help">
            <p class="empty-title">{m.ask_help}</p>
            <p>{m.ask_help_more}</p>
            <Examples onAsk={put} />
          </div>
        ) : (
          <ol class="exchanges" ref={list} aria-label={m.ask_answers}>
            {exchanges.value.map((exchange) => (
              <ExchangeRow key={exchange.id} exchange={exchange} onAsk={put} />
            ))}
          </ol>
        )}
      </div>
    </section>
  );
}
