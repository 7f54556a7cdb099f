import type { JSX } from "preact";
import type { HealthFinding, Severity } from "../api/shapes";
import { addressOf } from "../router";
import { language } from "../state/preferences";
import { messages } from "../text/messages";
import { Icon, type IconName } from "./icons";
import { Marked } from "./marked";

const ICONS: Readonly<Record<Severity, IconName>> = { wrong: "wrong", note: "alert", unknown: "unknown", ok: "ok" };

/** What `triptych doctor` found, and what to do about it. */
export function Finding({ finding }: { finding: HealthFinding }): JSX.Element {
  const m = messages.value;
  const isChinese = language.value === "zh";
  const text = (isChinese && finding.text_zh) || finding.text;
  const whatToDo = (isChinese && finding.what_to_do_zh) || finding.what_to_do;
  return (
    <li class={`finding finding-${finding.severity}`}>
      <Icon name={ICONS[finding.severity]} size={22} />
      <div>
        <p class="finding-text">
          <span class="visually-hidden">{m[`severity_${finding.severity}`]}: </span>
          {finding.feed && (
            <a href={addressOf({ view: "feed", feed: finding.feed, atMs: null })}>
              <bdi>{finding.feed}</bdi>
            </a>
          )}{" "}
          <Marked text={text} />
        </p>
        {whatToDo && (
          <p class="finding-do">
            <span class="muted">{m.what_to_do}: </span>
            <Marked text={whatToDo} />
          </p>
        )}
      </div>
    </li>
  );
}
