// Reads results from the results topic with kafkajs. Its consumer group keeps the progress.
import type { Consumer, Kafka } from "kafkajs";
import { NewestRevisions } from "./newest-revisions.js";
import { decodeRecord, MalformedResultError, type ResultRecord } from "./record.js";

export interface KafkaOptions {
  /** The name of the pipeline; its topic is `PIPELINE.results`. */
  pipeline?: string;
  /** The consumer group. Each group gets all results, and continues where it committed last. */
  groupId: string;
  /** Only the results of this stream. */
  stream?: string;
  /** Whether a new group starts with the oldest results that are kept. */
  fromBeginning?: boolean;
  /** Called for a record that is no valid result. It is skipped. */
  onMalformed?: (error: MalformedResultError, partition: number, offset: string) => void;
}

/**
 * Calls `onResult` for each result, one after the other, until `disconnect` of the consumer that it returns.
 *
 * The offset of a result is committed after `onResult` has returned, within a second: after a crash some results come
 * again. If `onResult` throws, kafkajs reads the same result again, and those after it wait. A revision comes after the result that it replaces; results that came before are left out.
 */
export async function subscribeToKafka(
  kafka: Kafka,
  { pipeline = "triptych", groupId, stream, fromBeginning = false, onMalformed }: KafkaOptions,
  onResult: (record: ResultRecord) => Promise<void> | void,
): Promise<Consumer> {
  const consumer = kafka.consumer({ groupId });
  const newest = new NewestRevisions();
  await consumer.connect();
  await consumer.subscribe({ topics: [`${pipeline}.results`], fromBeginning });
  await consumer.run({
    autoCommitInterval: 1_000,
    eachMessage: async ({ partition, message }) => {
      let record: ResultRecord;
      try {
        record = decodeRecord(message.key, message.value, message.headers ?? {});
      } catch (error) {
        if (!(error instanceof MalformedResultError)) {
          throw error;
        }
        onMalformed?.(error, partition, message.offset);
        return;
      }
      if ((stream === undefined || record.result.stream === stream) && newest.isNew(record)) {
        await onResult(record);
        newest.note(record);
      }
    },
  });
  return consumer;
}
