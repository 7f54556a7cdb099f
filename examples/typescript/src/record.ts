// Decodes a result, as it stands in the results topic and in Redis: JSON, in Kafka with CloudEvents headers.
import type { Result } from "./generated/result.js";

/** The version of the schema that the types describe. */
export const SCHEMA_VERSION = 1;

const RESULT_TYPE = "triptych.result";
const RESULT_ID = /^([A-Za-z0-9._-]{1,128})\/(\d{1,19})-(\d{1,19})\/(\d+)$/;

/** A value that is no result. The message says what was expected. */
export class MalformedResultError extends Error {
  override name = "MalformedResultError";
}

/** A result, and what JSON of JavaScript cannot hold of it. */
export interface ResultRecord {
  /** The result. Fields that a newer worker added are kept, although the type does not name them. */
  readonly result: Result & Record<string, unknown>;
  /** The result's JSON, byte for byte as published. */
  readonly document: string;
  /** The id of the window, which all its revisions share. */
  readonly window: string;
  /**
   * The window in nanoseconds since the epoch, exactly. The numbers of `result` that end with `_ns` are rounded to
   * about 256 ns, because a number of JavaScript has 53 bits.
   */
  readonly startNs: bigint;
  readonly endNs: bigint;
  /** Whether the schema has a newer version than these types: a field may mean something else. */
  readonly isNewerVersion: boolean;
}

/** The headers of a Kafka record, as kafkajs has them. */
export type RecordHeaders = Readonly<Record<string, Buffer | string | (Buffer | string)[] | undefined>>;

/**
 * Decodes the JSON of a result.
 *
 * @throws {MalformedResultError} it is none.
 */
export function decodeResult(document: Buffer | string): ResultRecord {
  const text = document.toString();
  const result = parse(text);
  const id = RESULT_ID.exec(typeof result.id === "string" ? result.id : "");
  if (id === null) {
    throw new MalformedResultError(`id: expected STREAM/START-END/REVISION, got ${shown(result.id)}`);
  }
  const [, stream, start, end, revision] = id as unknown as [string, string, string, string, string];
  if (result.stream !== stream || result.revision !== Number(revision)) {
    throw new MalformedResultError(`id: expected that of stream and revision, got ${shown(result.id)}`);
  }
  const version = result.schema_version;
  if (typeof version !== "number" || !Number.isInteger(version) || version < 1) {
    throw new MalformedResultError(`schema_version: expected an integer from 1, got ${shown(version)}`);
  }
  return {
    result: result as unknown as Result & Record<string, unknown>,
    document: text,
    window: `${stream}/${start}-${end}`,
    startNs: BigInt(start),
    endNs: BigInt(end),
    isNewerVersion: version > SCHEMA_VERSION,
  };
}

/**
 * Decodes a record of the results topic: its headers say that it is a result, and its key is the stream.
 *
 * @throws {MalformedResultError} it is none.
 */
export function decodeRecord(key: Buffer | string | null, value: Buffer | null, headers: RecordHeaders): ResultRecord {
  const type = header(headers, "ce_type");
  if (type !== RESULT_TYPE) {
    throw new MalformedResultError(`ce_type: expected ${RESULT_TYPE}, got ${shown(type)}`);
  }
  const version = header(headers, "ce_specversion");
  if (version !== "1.0") {
    throw new MalformedResultError(`ce_specversion: expected 1.0, got ${shown(version)}`);
  }
  if (value === null) {
    throw new MalformedResultError("value: expected a result, got none");
  }
  const record = decodeResult(value);
  if (key?.toString() !== record.result.stream) {
    throw new MalformedResultError(`key: expected ${record.result.stream}, got ${shown(key?.toString())}`);
  }
  return record;
}

function parse(text: string): Record<string, unknown> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    throw new MalformedResultError(`value: expected JSON, got ${shown(text)}`);
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) {
    throw new MalformedResultError(`value: expected an object, got ${shown(parsed)}`);
  }
  return parsed as Record<string, unknown>;
}

function header(headers: RecordHeaders, name: string): string | undefined {
  const value = headers[name];
  return (Array.isArray(value) ? value[0] : value)?.toString();
}

function shown(value: unknown): string {
  return (JSON.stringify(value) ?? "nothing").slice(0, 80);
}
