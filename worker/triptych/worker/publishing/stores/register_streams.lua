-- Add streams to the set of a pipeline's streams, scored by the time of their last write. Remove expired ones.
-- KEYS: 1 streams (sorted set).  ARGV: 1 key_ttl_s, 2… stream ids
-- The server's clock, because the keys of a stream expire by it.
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
for at = 2, #ARGV do
  redis.call('ZADD', KEYS[1], string.format('%.0f', now_ms), ARGV[at])
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now_ms - ARGV[1] * 1000))
redis.call('EXPIRE', KEYS[1], ARGV[1])
return 1
