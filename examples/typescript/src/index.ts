export type * from "./generated/result.js";
export { type KafkaOptions, subscribeToKafka } from "./kafka.js";
export { NewestRevisions } from "./newest-revisions.js";
export {
  decodeRecord,
  decodeResult,
  MalformedResultError,
  type RecordHeaders,
  type ResultRecord,
  SCHEMA_VERSION,
} from "./record.js";
export { type RedisCursor, type RedisDelivery, type RedisOptions, resultsFromRedis } from "./redis.js";
