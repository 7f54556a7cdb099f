import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { resolved } from "../../api/client";
import type { WindowBody } from "../../api/shapes";
import { Icon } from "../../components/icons";
import { Picture, pictureAddress } from "../../components/picture";
import { useWidth } from "../../components/use-size";
import { shownTheme } from "../../state/preferences";
import { formats } from "../../text/format";
import { messages } from "../../text/messages";
import { colour } from "./palette";

const WAVEFORM_HEIGHT = 44;
const NS_PER_MS = 1_000_000;
const SHOW_EVERY_MS = 40;

interface PlayerProps {
  readonly feed: string;
  readonly body: WindowBody;
  readonly isPlaying: boolean;
  readonly onPlaying: (isPlaying: boolean) => void;
  /** The window has been played to its end. */
  readonly onEnd: () => void;
  readonly onStep: (direction: 1 | -1) => boolean;
}

/** Plays a window: its pictures at their times, with its sound. The sound is the clock; without it, the wall clock. */
export function Player({ feed, body, isPlaying, onPlaying, onEnd, onStep }: PlayerProps): JSX.Element {
  const m = messages.value;
  const f = formats.value;
  const place = useRef<HTMLDivElement>(null);
  const audio = useRef<HTMLAudioElement>(null);
  const width = useWidth(place);
  const startMs = body.result.start_ns / NS_PER_MS;
  const durationMs = (body.result.end_ns - body.result.start_ns) / NS_PER_MS;
  const [atMs, setAtMs] = useState(0);
  const position = useRef(0);
  const end = useRef(onEnd);
  end.current = onEnd;

  const seek = (ms: number): void => {
    position.current = ms;
    setAtMs(ms);
    if (audio.current) audio.current.currentTime = ms / 1_000;
  };
  // Another window: from its beginning.
  useEffect(() => seek(0), [body.result.id]);
  useEffect(() => {
    for (const picture of body.pictures) new Image().src = pictureAddress(picture, width || 480);
  }, [body, width > 0]);
  useEffect(() => {
    if (!isPlaying) return;
    return play({ audio: audio.current, position, durationMs, onTime: setAtMs, onEnd: () => end.current() });
  }, [isPlaying, body.result.id]);

  const picture = body.pictures.findLast(({ at_ms }) => at_ms <= startMs + atMs) ?? body.pictures[0] ?? null;
  const boxes = body.boxes.filter(({ at_ms }) => at_ms === picture?.at_ms);
  return (
    <div class="player" ref={place}>
      <Picture
        picture={picture}
        boxes={boxes}
        width={width || 480}
        named
        alt={m.picture_of(feed, f.clock(picture?.at_ms ?? startMs), boxes.map(({ label }) => label).join(", "))}
      />
      {body.sound_url && (
        // biome-ignore lint/a11y/useMediaCaption: the words of the window stand below as text
        <audio ref={audio} src={resolved(body.sound_url)} preload="auto" />
      )}
      <Waveform peaks={body.waveform} width={width} share={atMs / durationMs} />
      <input
        class="player-position"
        type="range"
        min={0}
        max={durationMs}
        step={50}
        value={atMs}
        aria-label={m.position}
        aria-valuetext={f.clockWithMilliseconds(startMs + atMs)}
        onInput={(event) => seek(Number(event.currentTarget.value))}
      />
      <div class="player-buttons">
        <button type="button" class="button button-icon" aria-label={m.previous_window} onClick={() => void onStep(-1)}>
          <Icon name="previous" />
        </button>
        <button
          type="button"
          class="button button-primary button-icon"
          aria-label={isPlaying ? m.pause : m.play}
          onClick={() => onPlaying(!isPlaying)}
        >
          <Icon name={isPlaying ? "pause" : "play"} />
        </button>
        <button type="button" class="button button-icon" aria-label={m.next_window} onClick={() => void onStep(1)}>
          <Icon name="next" />
        </button>
        <time class="player-time">{f.clockWithMilliseconds(startMs + atMs)}</time>
        {!body.sound_url && <span class="muted">{m.no_sound}</span>}
      </div>
    </div>
  );
}

interface Playing {
  readonly audio: HTMLAudioElement | null;
  readonly position: { current: number };
  readonly durationMs: number;
  readonly onTime: (ms: number) => void;
  readonly onEnd: () => void;
}

/** Play from the present position; the function that it returns pauses. */
function play({ audio, position, durationMs, onTime, onEnd }: Playing): () => void {
  let isOver = false;
  let shownMs = 0;
  const beganMs = performance.now() - position.current;
  let hasSound = audio !== null;
  audio?.play().catch(() => {
    hasSound = false; // the browser forbids sound, or it is gone: the pictures play alone
  });
  const show = (nowMs: number): void => {
    if (isOver) return;
    // A sound that is shorter than the window has ended; the pictures go on by the wall clock.
    const isSounding = hasSound && audio !== null && !audio.ended && !audio.paused;
    position.current = isSounding ? audio.currentTime * 1_000 : Math.max(position.current, nowMs - beganMs);
    if (position.current >= durationMs) {
      isOver = true;
      onEnd();
      return;
    }
    if (nowMs - shownMs >= SHOW_EVERY_MS) {
      shownMs = nowMs;
      onTime(position.current);
    }
    requestAnimationFrame(show);
  };
  requestAnimationFrame(show);
  return () => {
    isOver = true;
    audio?.pause();
  };
}

function Waveform(props: { peaks: readonly number[] | null; width: number; share: number }): JSX.Element {
  const { peaks, width, share } = props;
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const ratio = Math.min(devicePixelRatio, 2);
    const target = canvas.current;
    if (!target || width === 0) return;
    target.width = Math.round(width * ratio);
    target.height = Math.round(WAVEFORM_HEIGHT * ratio);
    const context = target.getContext("2d");
    if (!context || !peaks) return;
    context.scale(ratio, ratio);
    context.fillStyle = colour("--speech");
    const wide = width / peaks.length;
    peaks.forEach((peak, index) => {
      const half = Math.max(0.5, Math.min(1, Math.abs(peak)) * (WAVEFORM_HEIGHT / 2 - 1));
      context.fillRect(index * wide, WAVEFORM_HEIGHT / 2 - half, Math.max(0.7, wide - 0.3), half * 2);
    });
  }, [peaks, width, shownTheme.value]);
  return (
    <div class="waveform" aria-hidden="true">
      <canvas ref={canvas} style={{ width: "100%", height: `${WAVEFORM_HEIGHT}px` }} />
      <div class="waveform-line" style={{ left: `${Math.min(1, share) * 100}%` }} />
    </div>
  );
}
