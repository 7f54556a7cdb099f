import type { JSX } from "preact";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { Marked } from "../../components/marked";
import { stepToMoment } from "../../components/moment-row";
import { useShortcuts } from "../../components/shortcuts";
import { addressOf } from "../../router";
import { announce } from "../../state/announcements";
import { language } from "../../state/preferences";
import {
  found,
  isSearching,
  search,
  searchedText,
  searchFailure,
  searchFeed,
  searchFrom,
  searchPlace,
  searchTime,
  searchTo,
} from "../../state/search";
import { mayAsk } from "../../state/session";
import { set } from "../../state/set";
import { messages } from "../../text/messages";
import { FoundRow } from "./found-row";
import { SearchToolbar } from "./toolbar";

/** Moments by words and by what is meant, of as long as the index goes back. */
export function Search({ text }: { text: string }): JSX.Element {
  const m = messages.value;
  const box = useRef<HTMLInputElement>(null);
  const list = useRef<HTMLOListElement>(null);
  const mayShowLast = useRef(found.peek() !== null);

  useEffect(() => {
    const hasComeBack = mayShowLast.current && text === searchedText.peek();
    mayShowLast.current = false;
    if (hasComeBack) return;
    set(searchedText, text);
    void search();
  }, [text, searchPlace.value, searchFeed.value, searchTime.value, searchFrom.value, searchTo.value]);
  useEffect(() => {
    if (found.value && !isSearching.value) announce(messages.peek().moments_found(found.value.moments.length));
  }, [found.value]);

  // Whoever comes without words wants to type some.
  useLayoutEffect(() => {
    if (!text) box.current?.focus();
  }, []);

  const step = (by: 1 | -1): void => stepToMoment(list.current, by);
  useShortcuts({
    "/": () => box.current?.focus(),
    j: () => step(1),
    k: () => step(-1),
    ArrowDown: () => step(1),
    ArrowUp: () => step(-1),
  });

  return (
    <section class="view search" aria-labelledby="search-title">
      <h1 id="search-title" class="visually-hidden">
        {m.search}
      </h1>
      <SearchToolbar box={box} onDown={() => step(1)} />
      <div class="search-scroller" aria-busy={isSearching.value}>
        {found.value?.notes.map((note) => (
          <p key={note.text} class="search-note muted">
            {language.value === "zh" ? note.text_zh : note.text}
          </p>
        ))}
        {mayAsk.value && isQuestion(searchedText.value) && (
          <p class="ask-instead">
            <a href={addressOf({ view: "ask", text: searchedText.value })}>{m.ask_instead}</a>
          </p>
        )}
        <Nothing />
        {found.value && found.value.moments.length > 0 && (
          <ol class="found-list" ref={list} aria-label={m.search}>
            {found.value.moments.map((moment) => (
              <FoundRow key={moment.result} moment={moment} words={searchedText.value} />
            ))}
          </ol>
        )}
      </div>
    </section>
  );
}

/** Whether a text is more likely a question than words to look for. */
function isQuestion(text: string): boolean {
  return (
    /[?\uff1f]\s*$/u.test(text) ||
    /^(?:when|who|what|which|where|how (?:many|often|long)|did|was|were|is|are|has|have)\s/iu.test(text.trim()) ||
    /什么|几次|几个|多少|多久|有没有|[吗呢]\s*$/u.test(text)
  );
}

function Nothing(): JSX.Element | null {
  const m = messages.value;
  if (searchFailure.value) {
    return (
      <p class="empty empty-bad" role="alert">
        <Marked text={searchFailure.value} />
      </p>
    );
  }
  if (isSearching.value) return found.value ? null : <p class="empty">{m.searching}</p>;
  if (found.value && found.value.moments.length > 0) return null;
  return (
    <div class="empty">
      <p class="empty-title">{found.value ? m.nothing_found : m.search_help}</p>
      <p>{found.value ? m.nothing_found_help : m.search_help_more}</p>
    </div>
  );
}
