-- Let the keys of one stream expire when they would have expired, had its results been written when they were published.
-- KEYS: 1 index (ids, scored by publication), 2 results, 3 latest, 4 marks
-- ARGV: 1 publication of the newest result, 2 publication of the newest window, 3 latest_ttl_s, 4 key_ttl_s,
--       5 the latest publication and 6 the latest end of results that were left out, or -1; times in ms
-- Returns 0 if a worker has written a newer result since: then the keys are as old as that. 1: aged, 2: expired.
local newest = redis.call('ZREVRANGE', KEYS[1], 0, 0, 'WITHSCORES')
if not newest[2] then return 0 end

-- What was left out counts as evicted (see store_result.lua): a restarted worker writes the topic's tail again.
local marks = { forgotten_published_ms = ARGV[5], forgotten_end_ms = ARGV[6] }
for name, value in pairs(marks) do
  if tonumber(value) > tonumber(redis.call('HGET', KEYS[4], name) or '-1') then
    redis.call('HSET', KEYS[4], name, value)
  end
end

if tonumber(newest[2]) > tonumber(ARGV[1]) then return 0 end
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)

local function expire(key, published_ms, ttl_s)
  local left_ms = published_ms + ttl_s * 1000 - now_ms
  if left_ms <= 0 then
    redis.call('DEL', key)
  else
    redis.call('PEXPIRE', key, string.format('%.0f', left_ms))
  end
  return left_ms > 0
end

local is_kept = expire(KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[4]))
expire(KEYS[2], tonumber(ARGV[1]), tonumber(ARGV[4]))
expire(KEYS[4], tonumber(ARGV[1]), tonumber(ARGV[4]))
expire(KEYS[3], tonumber(ARGV[2]), tonumber(ARGV[3]))
return is_kept and 1 or 2
