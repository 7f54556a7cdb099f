import type { JSX } from "preact";
import { type FeedTile, MODALITIES, type ModalityName, type ModalityState } from "../../api/shapes";
import { Icon } from "../../components/icons";
import { Picture } from "../../components/picture";
import { Sparkline } from "../../components/sparkline";
import { addressOf } from "../../router";
import { nowMs } from "../../state/clock";
import type { LiveFeed } from "../../state/wall";
import { formats } from "../../text/format";
import { messages } from "../../text/messages";

/** After so long without a window the tile says so. */
const QUIET_AFTER_MS = 15_000;
const LOUDNESS_LOW = -60;
const LOUDNESS_HIGH = -5;
const SHOWN_CHIPS = 3;

interface Place {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

interface TileProps {
  readonly feed: LiveFeed;
  readonly index: number;
  readonly count: number;
  readonly place: Place;
}

export function Tile({ feed, index, count, place }: TileProps): JSX.Element {
  const tile = feed.tile.value;
  const m = messages.value;
  const why = tile.attention_why[0];
  const level = tile.attention >= 0.6 ? "high" : why ? "some" : "none";
  return (
    <li
      class={`tile tile-${level}`}
      style={{
        transform: `translate(${place.left}px, ${place.top}px)`,
        width: `${place.width}px`,
        height: `${place.height}px`,
      }}
      aria-posinset={index + 1}
      aria-setsize={count}
    >
      <a class="tile-link" href={addressOf({ view: "feed", feed: tile.feed, atMs: null })} data-index={index}>
        <Picture picture={tile.picture} boxes={tile.boxes} width={place.width} alt="" named={place.width > 260} />
        <span class="tile-top">
          <bdi class="tile-name">{tile.feed}</bdi>
          <Lag tile={tile} receivedMs={feed.receivedMs} />
        </span>
        <span class="visually-hidden">{spoken(tile)}</span>
        <Caption tile={tile} />
      </a>
      <div class="tile-body">
        <div class="tile-chips">
          {tile.attention_why.slice(0, 2).map((code) => (
            <span key={code} class={`chip chip-${code === "match" ? "match" : "warn"}`}>
              {m[`attention_${code}`]}
            </span>
          ))}
          {matchesOf(tile).map(([prompt, score]) => (
            <span key={prompt} class="chip chip-quiet">
              <bdi>{prompt}</bdi> <b>{formats.value.score(score)}</b>
            </span>
          ))}
          {Object.entries(tile.counts)
            .slice(0, SHOWN_CHIPS)
            .map(([label, n]) => (
              <span key={label} class="chip chip-quiet">
                <bdi>{label}</bdi> <b>{n}</b>
              </span>
            ))}
          {tile.sounds.slice(0, 1).map(({ label }) => (
            <span key={label} class="chip chip-quiet">
              <Icon name="audio" size={12} />
              <bdi>{label}</bdi>
            </span>
          ))}
          {tile.labels.slice(0, 1).map(({ label }) => (
            <span key={label} class="chip chip-quiet">
              <bdi>{label}</bdi>
            </span>
          ))}
        </div>
        <Lines tile={tile} />
        <div class="tile-foot">
          {MODALITIES.map((name) => (
            <Modality key={name} name={name} state={tile.modalities[name]} />
          ))}
          {tile.quality.slice(0, 2).map((flag) => (
            <span key={flag} class="chip chip-warn chip-small">
              {flag}
            </span>
          ))}
          <time class="tile-time">{formats.value.clock(tile.end_ms)}</time>
        </div>
      </div>
    </li>
  );
}

function Lag({ tile, receivedMs }: { tile: FeedTile; receivedMs: number }): JSX.Element | null {
  const m = messages.value;
  // The page may have been opened after the feed fell silent: then the publication says since when.
  const since = tile.attention_why.includes("silent") ? Math.min(receivedMs, tile.published_ms) : receivedMs;
  const quietMs = nowMs.value - since;
  if (quietMs > QUIET_AFTER_MS) {
    return <span class="tile-lag tile-lag-bad">{m.silent_for(formats.value.duration(quietMs / 1_000))}</span>;
  }
  if (tile.lag_s === null) return null;
  const text = formats.value.duration(tile.lag_s);
  return (
    <span class={tile.lag_s > 10 ? "tile-lag tile-lag-bad" : "tile-lag"} title={m.lag_of(text)}>
      {text}
    </span>
  );
}

function Caption({ tile }: { tile: FeedTile }): JSX.Element | null {
  const words = tile.words.map(({ text }) => text).join(" ");
  if (!words) return null;
  const language = tile.words.at(-1)?.language;
  return (
    <span class="tile-words" dir="auto" {...(language ? { lang: language } : {})}>
      {words}
    </span>
  );
}

function Lines({ tile }: { tile: FeedTile }): JSX.Element {
  const m = messages.value;
  const { speech, loudness, novelty } = tile.sparklines;
  const f = formats.value;
  return (
    <div class="tile-lines">
      <Sparkline series="speech" values={speech} low={0} high={1} label={m.speech} text={textOf(speech, f.percent)} />
      <Sparkline
        series="loudness"
        values={loudness}
        low={LOUDNESS_LOW}
        high={LOUDNESS_HIGH}
        label={m.loudness}
        text={textOf(loudness, (value) => value.toFixed(0))}
      />
      <Sparkline series="novelty" values={novelty} low={0} high={1} label={m.novelty} text={textOf(novelty, f.score)} />
    </div>
  );
}

function textOf(values: readonly (number | null)[], format: (value: number) => string): string {
  const newest = values.at(-1) ?? null;
  return newest === null ? "–" : format(newest);
}

function Modality({ name, state }: { name: ModalityName; state: ModalityState }): JSX.Element {
  const m = messages.value;
  const text = m.modality_state(m[name], m[`state_${state}`]);
  return (
    <span class={`modality modality-${state}`} title={text}>
      <Icon name={name} size={15} />
      <span class="visually-hidden">{text}</span>
    </span>
  );
}

function matchesOf(tile: FeedTile): [string, number][] {
  return Object.entries(tile.matches)
    .sort(([, a], [, b]) => b - a)
    .slice(0, 2);
}

/** What the link of a tile says besides its name, lag and words: why it needs attention, and what is seen. */
function spoken(tile: FeedTile): string {
  const m = messages.value;
  const seen = Object.entries(tile.counts).map(([label, n]) => `${label} ${n}`);
  return [...tile.attention_why.map((code) => m[`attention_${code}`]), ...seen].join(", ");
}
