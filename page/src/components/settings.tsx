import type { JSX } from "preact";
import { notify } from "../state/announcements";
import { deviceTimeZone, type Language, language, shortcuts, type Theme, theme, timeZone } from "../state/preferences";
import { explained, session, signOut } from "../state/session";
import { set } from "../state/set";
import { messages } from "../text/messages";
import { Dialog } from "./dialog";

const ZONES = ["UTC", ...Intl.supportedValuesOf("timeZone").filter((zone) => zone !== "UTC")];

export function SettingsDialog({ onClose }: { onClose: () => void }): JSX.Element {
  const m = messages.value;
  const who = session.value;
  return (
    <Dialog title={m.settings} onClose={onClose}>
      <div class="form">
        <label class="field field-stacked">
          <span>{m.theme}</span>
          <select value={theme.value} onChange={(event) => set(theme, event.currentTarget.value as Theme)}>
            <option value="system">{m.theme_system}</option>
            <option value="dark">{m.theme_dark}</option>
            <option value="light">{m.theme_light}</option>
          </select>
        </label>
        <label class="field field-stacked">
          <span>{m.language}</span>
          <select value={language.value} onChange={(event) => set(language, event.currentTarget.value as Language)}>
            <option value="en" lang="en">
              English
            </option>
            <option value="zh" lang="zh-CN">
              中文
            </option>
          </select>
        </label>
        <label class="field field-stacked">
          <span>{m.time_zone}</span>
          <select value={timeZone.value} onChange={(event) => set(timeZone, event.currentTarget.value)}>
            <option value="">{m.time_zone_browser(deviceTimeZone)}</option>
            {ZONES.map((zone) => (
              <option key={zone} value={zone}>
                {zone}
              </option>
            ))}
          </select>
        </label>
        <label class="check">
          <input
            type="checkbox"
            checked={shortcuts.value === "on"}
            onChange={(event) => set(shortcuts, event.currentTarget.checked ? "on" : "off")}
          />
          <span>{m.shortcuts_on}</span>
        </label>
        {who && (
          <p class="muted">
            {who.user && (
              <>
                <bdi>{m.signed_in_as(who.user)}</bdi>
                <br />
              </>
            )}
            <bdi>{m.about_version(who.pipeline, who.version)}</bdi>
          </p>
        )}
        {who?.can_log_out && (
          <button
            type="button"
            class="button"
            onClick={() => void signOut().catch((failure: unknown) => notify("bad", explained(failure)))}
          >
            {m.sign_out}
          </button>
        )}
      </div>
    </Dialog>
  );
}
