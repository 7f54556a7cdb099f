import type { RefObject } from "preact";
import { useEffect } from "preact/hooks";
import type { MomentPictures, PicturedMoment } from "../state/moment-pictures";

/** Look for a moment's picture while its row is in view. */
export function usePictureInView(
  row: RefObject<HTMLElement | null>,
  moment: PicturedMoment,
  pictures: MomentPictures,
): void {
  useEffect(() => {
    const target = row.current;
    if (!target) return;
    let giveUp: (() => void) | null = null;
    const observer = new IntersectionObserver((entries) => {
      giveUp?.();
      giveUp = entries.at(-1)?.isIntersecting ? pictures.want(moment) : null;
    });
    observer.observe(target);
    return () => {
      observer.disconnect();
      giveUp?.();
    };
  }, [row, moment, pictures]);
}
