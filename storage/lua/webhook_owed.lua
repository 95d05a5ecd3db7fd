-- webhook_owed: jobs of a pool that have ended and whose event is not in the outbox yet.
-- KEYS: wh ZSET id -> ms from which on somebody may see to it (lib.lua: finish)
-- ARGV: how long the caller keeps them to itself, in ms; the most
-- RESULT: {id …}. They come again when the caller has not removed them by then: it died, and making
--         the same event twice is harmless, since its id is the job's.

local ms = math.floor(now_us() / 1000)
local ids = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', int(ms), 'LIMIT', 0, tonumber(ARGV[2]))
for _, id in ipairs(ids) do
  redis.call('ZADD', KEYS[1], int(ms + tonumber(ARGV[1])), id)
end
return ids
