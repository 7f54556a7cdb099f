-- Store one result of one stream, unless it is a duplicate. All keys carry the hash tag {stream}: one cluster slot.
-- KEYS: 1 index (ids, scored by publication), 2 results (the Redis stream), 3 latest, 4 marks (hash)
-- ARGV: 1 id, 2 published_ms, 3 end_ms, 4 document, 5 max_results, 6 latest_ttl_s, 7 key_ttl_s
-- Times are whole milliseconds: Lua's numbers and Redis' scores are doubles, which cannot hold nanoseconds.
local index, results, latest, marks = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local id, published_ms, end_ms = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local max_results, latest_ttl_s, key_ttl_s = tonumber(ARGV[5]), ARGV[6], ARGV[7]

if redis.call('ZSCORE', index, id) then return 0 end

-- Ids up to these marks were evicted from the index. A result that was published and ends at or before both marks is a
-- duplicate: a restarted worker writes the topic's tail again. One mark alone would reject new results too: those of a
-- film played again under an older date (by end), or of a new owner whose clock is behind (by time of publication).
local known = redis.call('HMGET', marks, 'forgotten_published_ms', 'forgotten_end_ms', 'newest_end_ms',
  'newest_revision')
local forgotten_published_ms, forgotten_end_ms = tonumber(known[1] or '-1'), tonumber(known[2] or '-1')
if published_ms <= forgotten_published_ms and end_ms <= forgotten_end_ms then return 0 end

redis.call('ZADD', index, ARGV[2], id)
local serial = redis.call('HINCRBY', marks, 'serial', 1)
redis.call('XADD', results, 'MAXLEN', '~', max_results, '*', 'result', ARGV[4], 'serial', serial)

-- The latest result is the newest revision of the newest window, in whatever order they arrive. Ids end with /REVISION.
local newest_end_ms, newest_revision = tonumber(known[3] or '-1'), tonumber(known[4] or '0')
local revision = tonumber(string.match(id, '/(%d+)$') or '0')
local is_newest = end_ms > newest_end_ms or (end_ms == newest_end_ms and revision >= newest_revision)
if is_newest or redis.call('EXISTS', latest) == 0 then
  redis.call('SET', latest, ARGV[4], 'EX', latest_ttl_s)
  redis.call('HSET', marks, 'newest_end_ms', ARGV[3], 'newest_revision', revision)
end

local excess = redis.call('ZCARD', index) - max_results
if excess > 0 then
  local forgotten = redis.call('ZPOPMIN', index, excess)
  for at = 1, #forgotten, 2 do
    -- Ids end with START-END/REVISION in nanoseconds. Cutting six digits is exact; dividing is not.
    local its_end_ms = tonumber(string.match(forgotten[at], '%-(%d+)%d%d%d%d%d%d/%d+$') or '0')
    forgotten_end_ms = math.max(forgotten_end_ms, its_end_ms)
    forgotten_published_ms = math.max(forgotten_published_ms, tonumber(forgotten[at + 1]))
  end
  redis.call('HSET', marks, 'forgotten_published_ms', string.format('%.0f', forgotten_published_ms),
    'forgotten_end_ms', string.format('%.0f', forgotten_end_ms))
end

redis.call('EXPIRE', index, key_ttl_s)
redis.call('EXPIRE', results, key_ttl_s)
redis.call('EXPIRE', marks, key_ttl_s)
return 1
