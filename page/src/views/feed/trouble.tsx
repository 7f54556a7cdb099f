import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { get } from "../../api/client";
import type { Attention, HealthBody, HealthFinding } from "../../api/shapes";
import { Finding } from "../../components/finding";
import { explained } from "../../state/session";
import { tileOf } from "../../state/wall";
import { messages } from "../../text/messages";

const REFRESH_MS = 15_000;
/** Reasons that the findings may explain. The others show themselves on the time line. */
const TROUBLES: ReadonlySet<Attention> = new Set(["silent", "modality_missing", "dead_letters", "lag", "overload"]);

/** Why nothing comes from a feed, or not all: what `triptych doctor` finds of it and of the pipeline. */
export function Trouble({ feed }: { feed: string }): JSX.Element | null {
  const m = messages.value;
  const [findings, setFindings] = useState<readonly HealthFinding[]>([]);
  const [failure, setFailure] = useState("");
  const isTroubled = tileOf(feed)?.attention_why.some((reason) => TROUBLES.has(reason)) ?? false;

  useEffect(() => {
    if (!isTroubled) return;
    const abort = new AbortController();
    const load = (): void => {
      if (document.hidden) return;
      get<HealthBody>("health", {}, abort.signal).then(
        (health) => {
          setFindings(health.findings.filter((finding) => concerns(finding, feed)));
          setFailure("");
        },
        (reason: unknown) => {
          if (!abort.signal.aborted) setFailure(explained(reason));
        },
      );
    };
    load();
    const timer = setInterval(load, REFRESH_MS);
    return () => {
      clearInterval(timer);
      abort.abort();
      setFindings([]);
      setFailure("");
    };
  }, [feed, isTroubled]);

  if (failure) {
    return (
      <p class="bad" role="alert">
        {failure}
      </p>
    );
  }
  if (findings.length === 0) return null;
  return (
    <section class="feed-trouble" aria-label={m.what_is_wrong}>
      <ul class="finding-list">
        {findings.map((finding) => (
          <Finding key={`${finding.code} ${finding.feed}`} finding={finding} />
        ))}
      </ul>
    </section>
  );
}

/** The findings of the feed, and what is wrong with the pipeline: without a worker no feed has results. */
function concerns(finding: HealthFinding, feed: string): boolean {
  if (finding.feed === feed) return finding.severity === "wrong" || finding.severity === "note";
  return finding.feed === null && finding.severity === "wrong";
}
