import type { ComponentChildren, JSX } from "preact";
import { useRef } from "preact/hooks";
import type { SearchedMoment } from "../api/shapes";
import { addressOf } from "../router";
import type { MomentPictures, PicturedMoment } from "../state/moment-pictures";
import { formats } from "../text/format";
import { messages } from "../text/messages";
import { Picture } from "./picture";
import { usePictureInView } from "./use-picture-in-view";

const THUMBNAIL = 160;

export type ListedMoment = PicturedMoment & Pick<SearchedMoment, "at_ms">;

interface MomentRowProps {
  readonly moment: ListedMoment;
  readonly pictures: MomentPictures;
  /** When it begins, as shown. */
  readonly beginMs: number;
  readonly durationMs: number;
  /** What was found of it. */
  readonly children: ComponentChildren;
}

/** Where a moment is on the time line of its feed. */
export function momentAddress(moment: ListedMoment): string {
  return addressOf({ view: "feed", feed: moment.feed, atMs: moment.at_ms, windowId: moment.window_id });
}

/** A moment of a list. It leads to the time line of its feed, if the page still has that time. */
export function MomentRow({ moment, pictures, beginMs, durationMs, children }: MomentRowProps): JSX.Element {
  const row = useRef<HTMLLIElement>(null);
  usePictureInView(row, moment, pictures);
  const content = (
    <>
      <span class="found-thumbnail">
        <Picture picture={pictures.of(moment)} width={THUMBNAIL} alt="" />
      </span>
      <span class="found-text">
        <span class="found-head">
          <bdi class="found-feed">{moment.feed}</bdi>
          <time>{formats.value.moment(beginMs)}</time>
          <span>{formats.value.duration(durationMs / 1_000)}</span>
        </span>
        {children}
      </span>
    </>
  );
  return (
    <li ref={row} data-result={moment.result}>
      {moment.is_kept ? (
        <a class="found-row" href={momentAddress(moment)}>
          {content}
        </a>
      ) : (
        <div class="found-row">
          {content}
          <p class="found-gone muted">
            {messages.value.found_not_kept} <code>triptych evidence {moment.result}</code>
          </p>
        </div>
      )}
    </li>
  );
}

/** Move the focus to the next moment of a list, or to the one before. */
export function stepToMoment(list: HTMLElement | null, by: 1 | -1): void {
  const links = [...(list?.querySelectorAll<HTMLElement>("a.found-row") ?? [])];
  const at = links.indexOf(document.activeElement as HTMLElement);
  links[at < 0 ? 0 : Math.max(0, Math.min(links.length - 1, at + by))]?.focus();
}
