import type { JSX } from "preact";
import { useRef, useState } from "preact/hooks";
import type { ModalityShares, Result, WindowBody } from "../../api/shapes";
import { Description } from "../../components/description";
import { Icon } from "../../components/icons";
import { Marked } from "../../components/marked";
import { notify } from "../../state/announcements";
import { formats } from "../../text/format";
import { messages } from "../../text/messages";

type Tab = "moment" | "records" | "attribution" | "revisions" | "result";
const TABS: readonly Tab[] = ["moment", "records", "attribution", "revisions", "result"];

/** Why the result of a window is what it is. */
export function Evidence({ body }: { body: WindowBody }): JSX.Element {
  const m = messages.value;
  const [tab, setTab] = useState<Tab>("moment");
  const list = useRef<HTMLDivElement>(null);
  const onKeyDown = (event: KeyboardEvent): void => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    const next = TABS[(TABS.indexOf(tab) + step + TABS.length) % TABS.length] ?? "moment";
    setTab(next);
    list.current?.querySelector<HTMLElement>(`#tab-${next}`)?.focus();
  };
  return (
    <div class="evidence">
      <div class="tabs" role="tablist" aria-label={m.result} ref={list} onKeyDown={onKeyDown}>
        {TABS.map((name) => (
          <button
            key={name}
            type="button"
            role="tab"
            id={`tab-${name}`}
            aria-selected={tab === name}
            aria-controls="evidence-panel"
            tabIndex={tab === name ? 0 : -1}
            onClick={() => setTab(name)}
          >
            {m[name]}
          </button>
        ))}
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a panel that scrolls must be reached by the keyboard */}
      <div id="evidence-panel" class="tab-panel" role="tabpanel" aria-labelledby={`tab-${tab}`} tabIndex={0}>
        {tab === "moment" && <Summary body={body} />}
        {tab === "records" && <Records body={body} />}
        {tab === "attribution" && <Attribution body={body} />}
        {tab === "revisions" && <Revisions body={body} />}
        {tab === "result" && <WholeResult result={body.result} />}
      </div>
    </div>
  );
}

function Summary({ body }: { body: WindowBody }): JSX.Element {
  const m = messages.value;
  const f = formats.value;
  const result = body.result;
  const { observations, quality } = result;
  const counts = Object.entries(result.counts ?? {}).flatMap(([label, { largest }]) =>
    largest > 0 ? [`${label} ${largest}`] : [],
  );
  const predictions = Object.entries(result.predictions).map(
    ([head, labels]) => `${head}: ${labels.slice(0, 3).map(scored).join(", ")}`,
  );
  return (
    <>
      {observations.words.length > 0 && (
        <blockquote class="words" aria-label={m.words}>
          {observations.words.map((cue) => (
            <p key={`${cue.start_ns} ${cue.text}`} dir="auto">
              {cue.text}
            </p>
          ))}
        </blockquote>
      )}
      {body.description && <Description description={body.description} />}
      <dl class="pairs">
        <Pair
          name={m.matches}
          value={Object.entries(result.matches ?? {})
            .map(([name, { score }]) => `${name} ${f.score(score)}`)
            .join(", ")}
        />
        <Pair name={m.objects} value={counts.join(", ")} />
        <Pair name={m.labels} value={observations.visual.slice(0, 4).map(scored).join(", ")} />
        <Pair name={m.sounds} value={observations.sound.slice(0, 4).map(scored).join(", ")} />
        <Pair name={m.speech} value={observations.speech_share === null ? "" : f.percent(observations.speech_share)} />
        <Pair
          name={m.loudness}
          value={observations.loudness_lufs === null ? "" : `${observations.loudness_lufs.toFixed(1)} LUFS`}
        />
        <Pair name={m.novelty} value={result.novelty === null ? "" : f.score(result.novelty)} />
        <Pair name={m.prediction} value={predictions.join("; ")} />
        <Pair name={m.quality} value={quality?.flags.join(", ") ?? ""} />
        <Pair name={m.closed_by} value={result.closed_by} />
        <Pair name={m.model} value={`${result.model.name} ${result.model.version}`} />
      </dl>
    </>
  );
}

function scored({ label, score }: { label: string; score: number }): string {
  return `${label} ${formats.value.score(score)}`;
}

function Pair({ name, value }: { name: string; value: string }): JSX.Element | null {
  if (!value) return null;
  return (
    <div>
      <dt>{name}</dt>
      <dd>
        <bdi>{value}</bdi>
      </dd>
    </div>
  );
}

function Records({ body }: { body: WindowBody }): JSX.Element {
  const m = messages.value;
  const f = formats.value;
  if (body.records.length === 0 && body.missing.length === 0) return <p class="muted">{m.no_records}</p>;
  return (
    <>
      {body.missing.map((text) => (
        <p key={text} class="note">
          {text}
        </p>
      ))}
      <table>
        <caption class="visually-hidden">{m.evidence_hint}</caption>
        <thead>
          <tr>
            <th scope="col">{m.modality}</th>
            <th scope="col">{m.time}</th>
            <th scope="col" class="number">
              {m.partition}/{m.offset}
            </th>
            <th scope="col" class="number">
              {m.size}
            </th>
          </tr>
        </thead>
        <tbody>
          {body.records.map((record) => (
            <tr key={`${record.topic} ${record.partition} ${record.offset}`} title={record.topic}>
              <td>
                <span class="track">
                  <Icon name={record.modality} size={14} /> {m[record.modality]}
                </span>
                {record.text && (
                  <span class="record-text" dir="auto">
                    {record.text}
                  </span>
                )}
              </td>
              <td>{f.clockWithMilliseconds(record.at_ms)}</td>
              <td class="number">
                {record.partition}/{record.offset}
              </td>
              <td class="number">{f.bytes(record.bytes)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </>
  );
}

function Attribution({ body }: { body: WindowBody }): JSX.Element {
  const m = messages.value;
  const shares = body.attribution?.shares ?? null;
  const slices = body.attribution?.slices ?? [];
  if (!shares && slices.length === 0)
    return (
      <p class="muted">
        <Marked text={m.no_attribution} />
      </p>
    );
  const largest = Math.max(1e-9, ...slices.map(({ weight }) => Math.abs(weight)));
  return (
    <>
      {shares && <SharesBar shares={shares} />}
      {slices.length > 0 && (
        <table class="slices">
          <caption>{m.attribution_by_time}</caption>
          <thead>
            <tr>
              <th scope="col">{m.time}</th>
              <th scope="col">{m.weight}</th>
            </tr>
          </thead>
          <tbody>
            {slices.map(({ start_ms, weight }) => (
              <tr key={start_ms}>
                <td>{formats.value.clockWithMilliseconds(start_ms)}</td>
                <td>
                  <span class="slice">
                    <i
                      class={weight < 0 ? "slice-bar slice-against" : "slice-bar"}
                      style={{ width: `${(Math.abs(weight) / largest) * 100}%` }}
                    />
                    {weight.toFixed(3)}
                  </span>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </>
  );
}

function SharesBar({ shares }: { shares: ModalityShares }): JSX.Element {
  const m = messages.value;
  const parts = (["video", "audio", "text"] as const).flatMap((name) => {
    const share = shares[name];
    return share === null ? [] : [{ name, share }];
  });
  return (
    <div class="shares">
      <div class="shares-bar" aria-hidden="true">
        {parts.map(({ name, share }) => (
          <i key={name} class={`share-${name}`} style={{ width: `${share * 100}%` }} />
        ))}
      </div>
      <dl class="pairs">
        {parts.map(({ name, share }) => (
          <Pair key={name} name={m[name]} value={formats.value.percent(share)} />
        ))}
      </dl>
    </div>
  );
}

function Revisions({ body }: { body: WindowBody }): JSX.Element {
  const m = messages.value;
  const f = formats.value;
  return (
    <>
      <table>
        <thead>
          <tr>
            <th scope="col">{m.revisions}</th>
            <th scope="col">{m.published}</th>
            <th scope="col">{m.closed_by}</th>
            <th scope="col" class="number">
              {m.records_added}
            </th>
          </tr>
        </thead>
        <tbody>
          {body.revisions.map(({ revision, published_ms, closed_by, added }) => (
            <tr key={revision}>
              <td>{m.revision(revision)}</td>
              <td>{f.moment(published_ms)}</td>
              <td>{closed_by}</td>
              <td class="number">{f.number(added)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      <h3>{m.trace_id}</h3>
      {body.trace_id ? (
        <p class="trace">
          <code>{body.trace_id}</code> <CopyButton text={body.trace_id} />
        </p>
      ) : (
        <p class="muted">{m.no_trace}</p>
      )}
    </>
  );
}

function WholeResult({ result }: { result: Result }): JSX.Element {
  const text = JSON.stringify(result, shortened, 2);
  return (
    <>
      <p class="whole-head">
        <CopyButton text={JSON.stringify(result, null, 2)} />
      </p>
      <pre class="code">{text}</pre>
    </>
  );
}

/** Long lists of numbers, such as vectors, by their length; what is copied has all of them. */
function shortened(_key: string, value: unknown): unknown {
  const isLong = Array.isArray(value) && value.length > 16 && value.every((each) => typeof each === "number");
  return isLong ? `[${value.length} numbers]` : value;
}

function CopyButton({ text }: { text: string }): JSX.Element {
  const m = messages.value;
  const copy = (): void => {
    navigator.clipboard.writeText(text).then(
      () => notify("good", m.copied),
      (failure: unknown) => notify("bad", String(failure)),
    );
  };
  return (
    <button type="button" class="button button-quiet button-small" onClick={copy}>
      <Icon name="copy" size={14} />
      {m.copy}
    </button>
  );
}
