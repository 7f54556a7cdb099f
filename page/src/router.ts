import { signal } from "@preact/signals";

/** What the page shows. The address holds it behind the `#`, so that the page works below any path of a proxy. */
export type Route =
  | { readonly view: "wall" }
  | { readonly view: "feed"; readonly feed: string; readonly atMs: number | null; readonly windowId?: string }
  | { readonly view: "events" }
  | { readonly view: "health" }
  | { readonly view: "search" | "ask"; readonly text: string };

export const route = signal<Route>(parsed(location.hash));

addEventListener("hashchange", () => {
  route.value = parsed(location.hash);
});

export function addressOf(to: Route): string {
  if (to.view === "search" || to.view === "ask") return withQuery(`#/${to.view}`, { text: to.text });
  if (to.view !== "feed") return `#/${to.view}`;
  const at = to.atMs === null ? "" : String(to.atMs);
  return withQuery(`#/feed/${encodeURIComponent(to.feed)}`, { at, window: to.windowId ?? "" });
}

function withQuery(path: string, query: Readonly<Record<string, string>>): string {
  const given = Object.entries(query).filter(([, value]) => value !== "");
  return given.length ? `${path}?${new URLSearchParams(given).toString()}` : path;
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
    const given = new URLSearchParams(query);
    const at = Number(given.get("at") ?? Number.NaN);
    const windowId = given.get("window");
    const atMs = Number.isSafeInteger(at) ? at : null;
    return { view, feed: decoded(rest[0]), atMs, ...(windowId ? { windowId } : {}) };
  }
  if (view === "search" || view === "ask") return { view, text: new URLSearchParams(query).get("text") ?? "" };
  return view === "events" || view === "health" ? { view } : { view: "wall" };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // not an address of ours; the server will not know the feed
  }
}
