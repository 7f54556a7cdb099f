import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { liveState } from "./api/live";
import { HelpDialog } from "./components/help";
import { Icon, type IconName } from "./components/icons";
import { Login } from "./components/login";
import { Marked } from "./components/marked";
import { SettingsDialog } from "./components/settings";
import { useShortcuts } from "./components/shortcuts";
import { addressOf, go, type Route, route } from "./router";
import { announced, dismiss, notices } from "./state/announcements";
import { nowMs } from "./state/clock";
import { healthCounts, startLive } from "./state/live";
import { openCount } from "./state/review";
import { searchedText } from "./state/search";
import { explained, loadSession, mayAsk, maySearch, session, userName } from "./state/session";
import { formats } from "./text/format";
import { messages } from "./text/messages";
import { Ask } from "./views/ask/ask";
import { Events } from "./views/events/events";
import { Feed } from "./views/feed/feed";
import { Health } from "./views/health/health";
import { Search } from "./views/search/search";
import { Wall } from "./views/wall/wall";

type Open = "settings" | "help" | null;

export function App(): JSX.Element {
  const [open, setOpen] = useState<Open>(null);
  const [failure, setFailure] = useState("");
  const isKnown = session.value !== null && !session.value.needs_login;
  const user = userName.value;

  useEffect(() => {
    loadSession().catch((reason: unknown) => setFailure(explained(reason)));
  }, []);
  useEffect(() => {
    if (isKnown) void startLive();
  }, [isKnown, user]);
  useEffect(() => {
    document.title = `${titleOf(route.value)} · Triptych`;
  });
  useShortcuts({
    "1": () => go({ view: "wall" }),
    "2": () => go({ view: "events" }),
    "3": () => go({ view: "health" }),
    "4": () => maySearch.value && go({ view: "search", text: searchedText.value }),
    "5": () => mayAsk.value && go({ view: "ask", text: "" }),
    "?": () => setOpen("help"),
    Escape: () => {
      if (route.value.view === "feed") go({ view: "wall" });
    },
  });

  return (
    <div class="page">
      {/* biome-ignore lint/a11y/useValidAnchor: a skip link, whose address must not become that of a view */}
      <a class="skip" href="#main" onClick={focusMain}>
        {messages.value.skip_to_content}
      </a>
      <Header onOpen={setOpen} />
      <main id="main" tabIndex={-1}>
        <Main key={user} failure={failure} />
      </main>
      <Notices />
      <div class="visually-hidden" role="status" aria-live="polite">
        {announced.value}
      </div>
      {open === "settings" && <SettingsDialog onClose={() => setOpen(null)} />}
      {open === "help" && <HelpDialog onClose={() => setOpen(null)} />}
    </div>
  );
}

function focusMain(event: Event): void {
  event.preventDefault(); // the address behind the `#` is the view
  document.getElementById("main")?.focus();
}

function titleOf(shown: Route): string {
  return shown.view === "feed" ? shown.feed : messages.value[shown.view];
}

function Main({ failure }: { failure: string }): JSX.Element {
  if (session.value === null) return <p class="empty">{failure || messages.value.loading}</p>;
  if (session.value.needs_login) return <Login />;
  const shown = route.value;
  switch (shown.view) {
    case "wall":
      return <Wall />;
    case "feed":
      return <Feed key={shown.feed} feed={shown.feed} atMs={shown.atMs} windowId={shown.windowId} />;
    case "events":
      return <Events />;
    case "search":
      return maySearch.value ? <Search text={shown.text} /> : <p class="empty">{messages.value.no_index}</p>;
    case "ask":
      return mayAsk.value ? <Ask text={shown.text} /> : <NoQuestions />;
    case "health":
      return <Health />;
  }
}

function NoQuestions(): JSX.Element {
  const m = messages.value;
  return (
    <p class="empty">
      <Marked text={maySearch.value ? m.no_questions : m.no_index} />
    </p>
  );
}

function Header({ onOpen }: { onOpen: (open: Open) => void }): JSX.Element {
  const m = messages.value;
  const wrong = healthCounts.value?.wrong ?? 0;
  return (
    <header class="header">
      <a class="brand" href={addressOf({ view: "wall" })}>
        <svg viewBox="0 0 32 32" width="22" height="22" aria-hidden="true" focusable="false">
          <rect x="2" y="6" width="8" height="20" rx="2" class="brand-video" />
          <rect x="12" y="3" width="8" height="26" rx="2" class="brand-audio" />
          <rect x="22" y="6" width="8" height="20" rx="2" class="brand-text" />
        </svg>
        <span class="brand-name">Triptych</span>
        {session.value && <bdi class="brand-pipeline">{session.value.pipeline}</bdi>}
      </a>
      <nav class="nav" aria-label={m.main_navigation}>
        <NavLink to="wall" icon="wall" />
        <NavLink to="events" icon="events" count={openCount.value} spokenCount={m.events_open(openCount.value)} />
        <NavLink to="health" icon="health" count={wrong} spokenCount={`${wrong} ${m.severity_wrong}`} bad />
        {maySearch.value && <NavLink to="search" icon="search" />}
        {mayAsk.value && <NavLink to="ask" icon="ask" />}
      </nav>
      <div class="header-end">
        <Connection />
        <time class="header-clock" title={formats.value.zone()}>
          {formats.value.clock(nowMs.value)} <span class="muted">{formats.value.zone()}</span>
        </time>
        <button
          type="button"
          class="button button-quiet button-icon header-help"
          aria-label={m.help}
          onClick={() => onOpen("help")}
        >
          <Icon name="keyboard" />
        </button>
        <button
          type="button"
          class="button button-quiet button-icon"
          aria-label={m.settings}
          onClick={() => onOpen("settings")}
        >
          <Icon name="settings" />
        </button>
      </div>
    </header>
  );
}

interface NavLinkProps {
  readonly to: "wall" | "events" | "health" | "search" | "ask";
  readonly icon: IconName;
  readonly count?: number;
  readonly spokenCount?: string;
  readonly bad?: boolean;
}

function linked(to: NavLinkProps["to"]): Route {
  if (to === "search") return { view: to, text: searchedText.value };
  return to === "ask" ? { view: to, text: "" } : { view: to };
}

function NavLink({ to, icon, count = 0, spokenCount = "", bad = false }: NavLinkProps): JSX.Element {
  const isHere = route.value.view === to || (to === "wall" && route.value.view === "feed");
  return (
    <a class="nav-link" href={addressOf(linked(to))} aria-current={isHere ? "page" : undefined}>
      <Icon name={icon} />
      <span>{messages.value[to]}</span>
      {count > 0 && (
        <span class={bad ? "count count-bad" : "count"}>
          <span aria-hidden="true">{formats.value.short(count)}</span>
          <span class="visually-hidden">{spokenCount}</span>
        </span>
      )}
    </a>
  );
}

function Connection(): JSX.Element | null {
  const m = messages.value;
  if (!session.value || session.value.needs_login) return null;
  const text = { live: m.live, connecting: m.connecting, lost: m.reconnecting }[liveState.value];
  return (
    <span class={`connection connection-${liveState.value}`} role="status">
      {text}
    </span>
  );
}

function Notices(): JSX.Element {
  return (
    <div class="notices">
      {notices.value.map(({ id, kind, text }) => (
        <div key={id} class={`notice notice-${kind}`}>
          <Icon name={kind === "good" ? "ok" : "wrong"} />
          <span>{text}</span>
          <button
            type="button"
            class="button button-quiet button-icon"
            aria-label={messages.value.close}
            onClick={() => dismiss(id)}
          >
            <Icon name="close" size={14} />
          </button>
        </div>
      ))}
    </div>
  );
}
