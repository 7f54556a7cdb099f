import type { JSX } from "preact";
import { useCallback, useEffect, useState } from "preact/hooks";
import { get } from "../../api/client";
import type { HealthBody, HealthFinding, Severity } from "../../api/shapes";
import { Finding } from "../../components/finding";
import { Icon } from "../../components/icons";
import { explained } from "../../state/session";
import { formats } from "../../text/format";
import { messages } from "../../text/messages";
import { DeadLetters } from "./dead";
import { Groups, Models, Producers, Redis, Topics } from "./tables";

const REFRESH_MS = 5_000;
const ORDER: Readonly<Record<Severity, number>> = { wrong: 0, unknown: 1, note: 2, ok: 3 };

/** What is wrong first, and what to do about it; then the figures of each part. */
export function Health(): JSX.Element {
  const m = messages.value;
  const [health, setHealth] = useState<HealthBody | null>(null);
  const [failure, setFailure] = useState("");

  const load = useCallback(async (): Promise<void> => {
    try {
      setHealth(await get<HealthBody>("health"));
      setFailure("");
    } catch (reason) {
      setFailure(explained(reason));
    }
  }, []);
  useEffect(() => {
    void load();
    const timer = setInterval(() => {
      if (!document.hidden) void load();
    }, REFRESH_MS);
    return () => clearInterval(timer);
  }, [load]);

  return (
    <section class="view health" aria-labelledby="health-title">
      <div class="health-scroller">
        <header class="view-head">
          <h1 id="health-title">{m.health}</h1>
          {health?.looked_ms && <span class="muted">{m.updated_at(formats.value.clock(health.looked_ms))}</span>}
          <button type="button" class="button button-quiet" onClick={() => void load()}>
            <Icon name="refresh" size={16} />
            {m.refresh}
          </button>
        </header>
        {failure && (
          <p class="bad" role="alert">
            {failure}
          </p>
        )}
        {health ? <Body health={health} onChange={load} /> : !failure && <p class="empty">{m.loading}</p>}
      </div>
    </section>
  );
}

function Body({ health, onChange }: { health: HealthBody; onChange: () => Promise<void> }): JSX.Element {
  const m = messages.value;
  const dead = health.dead.reduce((sum, { n }) => sum + n, 0);
  return (
    <>
      <Findings findings={health.findings} isLooked={health.looked_ms !== null} />
      <dl class="figures">
        <Figure name={m.feeds} value={health.feeds_n} />
        <Figure name={m.dead_letters} value={dead} bad={dead > 0} />
        <Figure name={m.late} value={health.late} />
        <Figure name={m.shed} value={health.shed} bad={health.shed > 0} />
        <Figure name={m.clients} value={health.page.clients} />
      </dl>
      <DeadLetters counts={health.dead} onRedriven={onChange} />
      <div class="health-tables">
        <Producers producers={health.producers} />
        <Topics topics={health.topics} />
        <Groups groups={health.groups} />
        <Models models={health.models} />
        <Redis redis={health.redis} />
      </div>
    </>
  );
}

function Findings({ findings, isLooked }: { findings: readonly HealthFinding[]; isLooked: boolean }): JSX.Element {
  const m = messages.value;
  const sorted = findings.toSorted((a, b) => ORDER[a.severity] - ORDER[b.severity]);
  const open = sorted.filter(({ severity }) => severity !== "ok");
  const well = sorted.filter(({ severity }) => severity === "ok");
  return (
    <section aria-labelledby="findings-title" class="findings">
      <h2 id="findings-title" class="visually-hidden">
        {m.what_is_wrong}
      </h2>
      {open.length === 0 && isLooked && (
        <div class="finding finding-ok">
          <Icon name="ok" size={22} />
          <div>
            <p class="finding-text">{m.all_well}</p>
            <p class="muted">{m.all_well_help}</p>
          </div>
        </div>
      )}
      <ul class="finding-list">
        {open.map((finding) => (
          <Finding key={`${finding.code} ${finding.feed} ${finding.text}`} finding={finding} />
        ))}
      </ul>
      {well.length > 0 && (
        <details class="well">
          <summary>{m.checks_passed(well.length)}</summary>
          <ul class="finding-list">
            {well.map((finding) => (
              <Finding key={`${finding.code} ${finding.feed} ${finding.text}`} finding={finding} />
            ))}
          </ul>
        </details>
      )}
    </section>
  );
}

function Figure({ name, value, bad = false }: { name: string; value: number; bad?: boolean }): JSX.Element {
  return (
    <div class="figure">
      <dt>{name}</dt>
      <dd class={bad ? "bad" : ""}>{formats.value.number(value)}</dd>
    </div>
  );
}
