/** Forgets what one user saw before another one looks: a session may end without the page being loaded again. */
import { effect, untracked } from "@preact/signals";
import { replace } from "../router";
import { forgetNotices } from "./announcements";
import { forgetAsk } from "./ask";
import { forgetLive } from "./live";
import { forgetReview } from "./review";
import { forgetSearch } from "./search";
import { userName } from "./session";
import { forgetWall } from "./wall";

/** Forget when a session ends, and when another user looks. Call it once, before the page is drawn. */
export function forgetBetweenUsers(): void {
  let shown: string | null = null;
  let last: string | null = null;
  effect(() => {
    const user = userName.value;
    if (user === shown) return;
    if (shown !== null) untracked(forget);
    // The address holds what was looked for, or where.
    if (user !== null && last !== null && user !== last) untracked(() => replace({ view: "wall" }));
    shown = user;
    last = user ?? last;
  });
}

function forget(): void {
  forgetLive();
  forgetWall();
  forgetReview();
  forgetSearch();
  forgetAsk();
  forgetNotices();
}
