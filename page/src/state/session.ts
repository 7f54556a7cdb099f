import { computed, signal } from "@preact/signals";
import { ApiError, get, post } from "../api/client";
import type { Role, SessionBody } from "../api/shapes";
import { messages } from "../text/messages";

/** Who looks. Null until the server has answered. */
export const session = signal<SessionBody | null>(null);

/** The name of who looks; null while that is not known, and where a login is needed. */
export const userName = computed(() => session.value?.user ?? null);
export const mayReview = computed(() => hasRole("review"));
export const mayOperate = computed(() => hasRole("operate"));
export const maySearch = computed(() => session.value?.can_search ?? false);
/** An index on a server is searched, but has no graph to ask. */
export const mayAsk = computed(() => session.value?.can_ask ?? false);

function hasRole(role: Role): boolean {
  return session.value?.roles.includes(role) ?? false;
}

export async function loadSession(): Promise<void> {
  session.value = await get<SessionBody>("session");
}

export async function signIn(token: string): Promise<void> {
  session.value = await post<SessionBody>("login", { token });
}

export async function signOut(): Promise<void> {
  await post("logout", {});
  location.reload();
}

/** Say what went wrong. An answer that asks for a login shows the form. */
export function explained(failure: unknown): string {
  const m = messages.value;
  if (!(failure instanceof ApiError)) return m.page_failed(String(failure));
  switch (failure.status) {
    case 0:
      return m.server_away;
    case 401:
      loadSession().catch(() => undefined); // the present failure is shown already
      return m.login_title;
    case 403:
      return failure.message || m.forbidden;
    case 404:
      return m.not_found;
    default:
      return failure.message;
  }
}
