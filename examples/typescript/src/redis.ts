// Reads results from the streams of Redis with ioredis. The caller keeps the progress: a cursor of plain JSON.
import type { Redis } from "ioredis";
import { NewestRevisions } from "./newest-revisions.js";
import { decodeResult, MalformedResultError, type ResultRecord } from "./record.js";

/** How far each stream is read: the id of its last entry, and its serial number. Save it as JSON. */
export type RedisCursor = Readonly<Record<string, { readonly id: string; readonly serial: number | null }>>;

export interface RedisOptions {
  /** The name of the pipeline: the prefix of its keys. */
  pipeline?: string;
  /** Only the results of this stream. By default of all, also of those that appear later. */
  stream?: string;
  /** Where to continue. By default everything that Redis holds is read. */
  cursor?: RedisCursor;
  /** Ends the iteration, within a quarter of a second. */
  signal?: AbortSignal;
  /** Called for entries that were trimmed before they were read. */
  onMissed?: (stream: string, missed: number) => void;
  /** Called for an entry that is no valid result. It is skipped. */
  onMalformed?: (error: MalformedResultError, stream: string, id: string) => void;
}

/** A result, and where to continue after it. */
export interface RedisDelivery {
  readonly record: ResultRecord;
  readonly cursor: RedisCursor;
}

type Entry = [id: string, fields: string[]];

const FIRST = { id: "0-0", serial: null };
const BLOCK_MS = 250;
const DISCOVERY_MS = 1_000;
const ENTRIES = 100;

/**
 * Yields each result, the results of a stream in the order of their publication, until `signal` ends it.
 *
 * It blocks its connection, so give it one of its own (`redis.duplicate()`). A revision comes after the result that it
 * replaces; results that came before are left out. Errors of the connection are thrown: continue with the last cursor.
 */
export async function* resultsFromRedis(redis: Redis, options: RedisOptions = {}): AsyncGenerator<RedisDelivery> {
  const { pipeline = "triptych", stream, signal } = options;
  const newest = new NewestRevisions();
  const cursor: Record<string, RedisCursor[string]> = { ...options.cursor };
  let streams: string[] = [];
  let discoverAt = 0;
  while (!signal?.aborted) {
    if (Date.now() >= discoverAt) {
      streams = stream === undefined ? await redis.zrange(`${pipeline}:streams`, "0", "-1") : [stream];
      discoverAt = Date.now() + DISCOVERY_MS;
    }
    for (const [name, entries] of await read(redis, pipeline, streams, cursor)) {
      for (const [id, fields] of entries) {
        const record = take(name, id, fieldsOf(fields), cursor, options);
        if (record !== null && newest.isNew(record)) {
          yield { record, cursor: { ...cursor } };
          newest.note(record);
        }
        if (signal?.aborted) {
          return;
        }
      }
    }
  }
}

async function read(
  redis: Redis,
  pipeline: string,
  streams: string[],
  cursor: RedisCursor,
): Promise<[string, Entry[]][]> {
  if (streams.length === 0) {
    await new Promise((resolve) => setTimeout(resolve, BLOCK_MS));
    return [];
  }
  const keys = streams.map((name) => `${pipeline}:results:{${name}}`);
  const ids = streams.map((name) => (cursor[name] ?? FIRST).id);
  const found = await redis.xread("COUNT", ENTRIES, "BLOCK", BLOCK_MS, "STREAMS", ...keys, ...ids);
  return (found ?? []).map(([key, entries]) => [streams[keys.indexOf(key)] as string, entries as Entry[]]);
}

function take(
  stream: string,
  id: string,
  fields: Map<string, string>,
  cursor: Record<string, RedisCursor[string]>,
  { onMissed, onMalformed }: RedisOptions,
): ResultRecord | null {
  const before = cursor[stream]?.serial ?? null;
  const serial = fields.has("serial") ? Number(fields.get("serial")) : null;
  cursor[stream] = { id, serial };
  // Serial numbers begin at 1 again when a stream is created anew.
  const missed = before === null || serial === null ? 0 : serial > before ? serial - before - 1 : serial - 1;
  if (missed > 0) {
    onMissed?.(stream, missed);
  }
  try {
    return decodeResult(fields.get("result") ?? "");
  } catch (error) {
    if (!(error instanceof MalformedResultError)) {
      throw error;
    }
    onMalformed?.(error, stream, id);
    return null;
  }
}

function fieldsOf(flat: string[]): Map<string, string> {
  const fields = new Map<string, string>();
  for (let at = 0; at + 1 < flat.length; at += 2) {
    fields.set(flat[at] as string, flat[at + 1] as string);
  }
  return fields;
}
