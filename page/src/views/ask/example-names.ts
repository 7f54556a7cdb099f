/** Names for the examples of questions, from what the feeds show and say now: an example should find something. */
import { shownTiles } from "../../state/wall";

export interface ExampleNames {
  /** The two things that most feeds show; null where there are fewer. */
  readonly things: readonly [string | null, string | null];
  /** A word that somebody says; null if there is none. */
  readonly word: string | null;
}

/** Names of one word: in a question in Chinese, spaces mean nothing. */
const NAME = /^[a-z]{2,20}$/;
const SPOKEN_WORD = /\p{Script=Latin}{4,14}/gu;

export function exampleNames(): ExampleNames {
  const feedsWith = new Map<string, number>();
  const words = new Set<string>();
  for (const tile of shownTiles()) {
    const names = new Set([...Object.keys(tile.counts), ...tile.labels.map(({ label }) => label)]);
    for (const name of names) feedsWith.set(name, (feedsWith.get(name) ?? 0) + 1);
    for (const { text } of tile.words) for (const word of text.match(SPOKEN_WORD) ?? []) words.add(word.toLowerCase());
  }
  const things = [...feedsWith.keys()].filter((name) => NAME.test(name));
  things.sort((a, b) => (feedsWith.get(b) ?? 0) - (feedsWith.get(a) ?? 0) || (a < b ? -1 : 1));
  // Short words are of every sentence, long ones of this one.
  const [word = null] = [...words].sort((a, b) => b.length - a.length || (a < b ? -1 : 1));
  return { things: [things[0] ?? null, things[1] ?? null], word };
}
