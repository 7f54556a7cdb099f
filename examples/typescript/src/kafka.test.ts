// Delivery from Kafka when the function of the caller fails. The consumer of kafkajs is replaced: no Kafka is needed.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ConsumerRunConfig, EachMessagePayload, Kafka } from "kafkajs";
import { type ResultRecord, subscribeToKafka } from "./index.js";

const START_NS = 1_767_225_600_000_000_123n;

/** Returns the message of a revision of a window. */
function message(revision: number): EachMessagePayload {
  const id = `city/${START_NS}-${START_NS + 2_000_000_000n}/${revision}`;
  const value = Buffer.from(JSON.stringify({ id, stream: "city", revision, schema_version: 1 }));
  const headers = { ce_type: "triptych.result", ce_specversion: "1.0" };
  const record = { key: Buffer.from("city"), value, headers, timestamp: "0", attributes: 0, offset: "0" };
  return { topic: "t.results", partition: 0, message: record, heartbeat: async () => {}, pause: () => () => {} };
}

/** Returns the function that kafkajs would call with each message of a subscription. */
async function subscribed(
  onResult: (record: ResultRecord) => void,
): Promise<(message: EachMessagePayload) => Promise<void>> {
  let config: ConsumerRunConfig = {};
  const consumer = {
    connect: async () => {},
    subscribe: async () => {},
    run: async (given: ConsumerRunConfig) => {
      config = given;
    },
  };
  await subscribeToKafka({ consumer: () => consumer } as unknown as Kafka, { groupId: "test" }, onResult);
  assert(config.eachMessage);
  return config.eachMessage;
}

test("a result whose handling failed is delivered when kafkajs reads it again, and then no more", async () => {
  const delivered: number[] = [];
  let fails = true;
  const eachMessage = await subscribed(({ result }) => {
    delivered.push(result.revision);
    if (fails) {
      throw new Error("the database is away");
    }
  });
  await assert.rejects(eachMessage(message(0)), /the database is away/); // kafkajs reads the message again
  await assert.rejects(eachMessage(message(0)), /the database is away/);
  fails = false;
  await eachMessage(message(0));
  await eachMessage(message(0));
  assert.deepEqual(delivered, [0, 0, 0]);
});

test("an older revision is left out, and a newer one is delivered", async () => {
  const delivered: number[] = [];
  const eachMessage = await subscribed(({ result }) => void delivered.push(result.revision));
  for (const revision of [0, 2, 1, 0, 3]) {
    await eachMessage(message(revision));
  }
  assert.deepEqual(delivered, [0, 2, 3]);
});
