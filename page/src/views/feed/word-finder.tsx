import type { JSX } from "preact";
import { useMemo, useRef, useState } from "preact/hooks";
import type { SpokenWords, TimelineWindow } from "../../api/shapes";
import { Icon } from "../../components/icons";
import { useShortcuts } from "../../components/shortcuts";
import { useVirtualRows } from "../../components/virtual";
import { formats } from "../../text/format";
import { messages } from "../../text/messages";

const ROW_HEIGHT = 32;

interface WordFinderProps {
  readonly windows: readonly TimelineWindow[];
  readonly onChoose: (ms: number) => void;
}

/** All cues that are kept, the newest first, and those in which a word was said. A click or Enter goes to the moment. */
export function WordFinder({ windows, onChoose }: WordFinderProps): JSX.Element {
  const m = messages.value;
  const [wanted, setWanted] = useState("");
  const scroller = useRef<HTMLDivElement>(null);
  const box = useRef<HTMLInputElement>(null);
  const cues = useMemo(() => cuesOf(windows), [windows]);
  const found = useMemo(() => {
    const text = wanted.trim().toLocaleLowerCase();
    return text ? cues.filter((cue) => cue.text.toLocaleLowerCase().includes(text)) : cues;
  }, [cues, wanted]);
  useShortcuts({ "/": () => box.current?.focus() });
  const chooseFirst = (event: KeyboardEvent): void => {
    const newest = found[0];
    if (event.key !== "Enter" || event.isComposing || !wanted.trim() || !newest) return;
    event.preventDefault();
    onChoose(newest.at_ms);
    box.current?.blur(); // the keys of the time line and of the player work again
  };
  const rows = useVirtualRows(scroller, found.length, ROW_HEIGHT, 4);
  return (
    <section class="panel finder" aria-label={m.find_words}>
      <search class="finder-head">
        <label class="field field-search">
          <span class="visually-hidden">{m.find_words}</span>
          <Icon name="search" size={16} />
          <input
            ref={box}
            type="search"
            value={wanted}
            placeholder={m.find_words_hint}
            onInput={(event) => setWanted(event.currentTarget.value)}
            onKeyDown={chooseFirst}
          />
        </label>
        <span class="muted" role="status">
          {m.words_found(found.length)}
        </span>
      </search>
      <div class="finder-scroller" ref={scroller}>
        {/* biome-ignore lint/a11y/noRedundantRoles: VoiceOver takes a list without markers for none */}
        <ul role="list" style={{ height: `${rows.totalHeight}px` }}>
          {rows.items.map((row) => {
            const cue = found[row.index];
            return (
              cue && (
                <li
                  key={`${cue.at_ms} ${cue.text}`}
                  style={{ transform: `translateY(${row.start}px)`, height: `${ROW_HEIGHT}px` }}
                >
                  <button type="button" class="finder-cue" onClick={() => onChoose(cue.at_ms)}>
                    <time>{formats.value.clock(cue.at_ms)}</time>
                    <span dir="auto" {...(cue.language ? { lang: cue.language } : {})}>
                      {cue.text}
                    </span>
                  </button>
                </li>
              )
            );
          })}
        </ul>
      </div>
    </section>
  );
}

/** Each cue once, at its own time. */
function cuesOf(windows: readonly TimelineWindow[]): SpokenWords[] {
  const byName = new Map<string, SpokenWords>();
  for (const { words } of windows) for (const cue of words) byName.set(`${cue.at_ms} ${cue.text}`, cue);
  return [...byName.values()].sort((a, b) => b.at_ms - a.at_ms);
}
