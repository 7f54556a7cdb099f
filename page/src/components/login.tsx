import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { ApiError } from "../api/client";
import { explained, signIn } from "../state/session";
import { messages } from "../text/messages";

export function Login(): JSX.Element {
  const m = messages.value;
  const [failure, setFailure] = useState("");
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    signIn(String(new FormData(form).get("token") ?? "").trim()).catch((reason: unknown) => {
      const isUnknown = reason instanceof ApiError && (reason.status === 401 || reason.status === 403);
      setFailure(isUnknown ? m.login_failed : explained(reason));
    });
  };
  return (
    <form class="login panel" onSubmit={submit}>
      <h1>{m.login_title}</h1>
      <p class="muted">{m.login_help}</p>
      <label class="field field-stacked">
        <span>{m.login_token}</span>
        <input type="password" name="token" autocomplete="current-password" required maxLength={512} />
      </label>
      <p class="bad" role="alert">
        {failure}
      </p>
      <button type="submit" class="button button-primary">
        {m.login_submit}
      </button>
    </form>
  );
}
