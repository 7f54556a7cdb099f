import { signal } from "@preact/signals";

/** What the page shows. The address holds it behind the `#`, so that the page works below any path of a proxy. */
export type Route =
  | { readonly view: "wall" }
  | { readonly view: "feed"; readonly feed: string; readonly atMs: number | null }
  | { readonly view: "events" }
  | { readonly view: "health" };

export const route = signal<Route>(parsed(location.hash));

addEventListener("hashchange", () => {
  route.value = parsed(location.hash);
});

export function addressOf(to: Route): string {
  if (to.view !== "feed") return `#/${to.view}`;
  const at = to.atMs === null ? "" : `?at=${to.atMs}`;
  return `#/feed/${encodeURIComponent(to.feed)}${at}`;
}

export function go(to: Route): void {
  location.hash = addressOf(to);
}

/** Change the address without an entry in the history: for a moment that was chosen on the time line. */
export function replace(to: Route): void {
  history.replaceState(null, "", addressOf(to));
  route.value = to;
}

function parsed(hash: string): Route {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  const [view, ...rest] = path.split("/");
  if (view === "feed" && rest[0]) {
    const at = Number(new URLSearchParams(query).get("at") ?? Number.NaN);
    return { view, feed: decoded(rest[0]), atMs: Number.isSafeInteger(at) ? at : null };
  }
  return view === "events" || view === "health" ? { view } : { view: "wall" };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // not an address of ours; the server will not know the feed
  }
}
