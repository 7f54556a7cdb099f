/** Requests to the server. Addresses are relative, so that the page works below any path of a proxy. */

import type { ApiError as ErrorBody } from "../generated/api";

export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

type Query = Readonly<Record<string, string | number | null | undefined>>;

export function address(path: string, query: Query = {}): string {
  const given = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const text = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
  return text ? `api/${path}?${text}` : `api/${path}`;
}

/** The tilde keeps the names `.` and `..` from being taken for folders. */
export function feedPath(feed: string): string {
  return `feeds/~${encodeURIComponent(feed)}`;
}

/** Resolve an address that the server sent (`/api/…` or `api/…`) below the path where the page lies. */
export function resolved(url: string): string {
  return url.startsWith("/") ? url.slice(1) : url;
}

export async function get<Answer>(path: string, query?: Query, abort?: AbortSignal): Promise<Answer> {
  const options: RequestInit = { headers: { Accept: "application/json" }, credentials: "same-origin" };
  return await answerOf<Answer>(fetch(address(path, query), abort ? { ...options, signal: abort } : options));
}

export async function post<Answer>(path: string, body: unknown, abort?: AbortSignal): Promise<Answer> {
  const options: RequestInit = {
    method: "POST",
    credentials: "same-origin",
    headers: { Accept: "application/json", "Content-Type": "application/json", "X-Triptych": "1" },
    body: JSON.stringify(body),
  };
  return await answerOf<Answer>(fetch(address(path), abort ? { ...options, signal: abort } : options));
}

async function answerOf<Answer>(request: Promise<Response>): Promise<Answer> {
  const response = await request.catch((failure: unknown) => {
    if (failure instanceof DOMException && failure.name === "AbortError") throw failure;
    throw new ApiError(0, "");
  });
  if (!response.ok) throw new ApiError(response.status, await explanation(response));
  return response.status === 204 ? (undefined as Answer) : ((await response.json()) as Answer);
}

async function explanation(response: Response): Promise<string> {
  const text = await response.text();
  try {
    const { error, what_to_do } = JSON.parse(text) as Partial<ErrorBody>;
    if (error) return what_to_do ? `${error}. ${what_to_do}` : error;
  } catch {
    // Not JSON: the page of a proxy, for example.
  }
  return `${response.status} ${response.statusText}`.trim();
}
