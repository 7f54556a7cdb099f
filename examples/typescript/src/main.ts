// Prints the words and times of results, one JSON object a line, until SIGTERM.
//
//   node dist/main.js kafka 127.0.0.1:9092 triptych my-group
//   node dist/main.js redis redis://127.0.0.1:6379/0 triptych cursor.json

import { once } from "node:events";
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { Redis } from "ioredis";
import { Kafka, logLevel } from "kafkajs";
import { type RedisCursor, type ResultRecord, resultsFromRedis, subscribeToKafka } from "./index.js";

function print(record: ResultRecord): void {
  const { id, observations } = record.result;
  const words = observations.words.map((cue) => cue.text);
  const unknown = record.result.added_later ?? null;
  process.stdout.write(`${JSON.stringify({ id, start_ns: String(record.startNs), words, added_later: unknown })}\n`);
}

function report(error: Error): void {
  process.stderr.write(`${error.message}\n`);
}

async function fromKafka(brokers: string, pipeline: string, groupId: string): Promise<void> {
  const kafka = new Kafka({ brokers: brokers.split(","), logLevel: logLevel.ERROR });
  const consumer = await subscribeToKafka(
    kafka,
    { pipeline, groupId, fromBeginning: true, onMalformed: report },
    print,
  );
  await once(process, "SIGTERM");
  await consumer.disconnect(); // commits what was handled
}

async function fromRedis(url: string, pipeline: string, file: string): Promise<void> {
  const redis = new Redis(url);
  const ending = new AbortController();
  process.once("SIGTERM", () => ending.abort());
  const cursor: RedisCursor = existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : {};
  const onMissed = (stream: string, missed: number) => report(new Error(`${stream}: ${missed} results missed`));
  const options = { pipeline, cursor, signal: ending.signal, onMissed, onMalformed: report };
  for await (const delivery of resultsFromRedis(redis, options)) {
    print(delivery.record);
    writeFileSync(`${file}.new`, JSON.stringify(delivery.cursor));
    renameSync(`${file}.new`, file);
  }
  redis.disconnect();
}

const [source, address, pipeline, progress] = process.argv.slice(2);
if ((source !== "kafka" && source !== "redis") || !address || !pipeline || !progress) {
  process.stderr.write("usage: main.js kafka BROKERS PIPELINE GROUP | main.js redis URL PIPELINE CURSOR_FILE\n");
  process.exit(2);
}
await (source === "kafka" ? fromKafka : fromRedis)(address, pipeline, progress);
