-- session_begin: a post asks whether it is its turn in a conversation, and takes it.
-- KEYS: m settings, l messages, k who runs, q waiting by order, a waiting until, f facts
-- ARGV: waiter, lease ms, waiter ms, most that wait
-- RESULT: {'none'} no such conversation; {'full'}; {'wait', ahead}; {'go', fence, setup, created,
-- bytes, facts, messages}
--
-- Posts go in the order of their first asking, on whatever instance. One that stops asking is taken
-- out, and the lease of one that dies while it runs ends; so nobody waits for the dead.

local now = math.floor(now_us() / 1000)
local me = ARGV[1]
if redis.call('EXISTS', KEYS[1]) == 0 then
  return {'none'}
end
local ttl = redis.call('PTTL', KEYS[1])
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[5], '-inf', '(' .. int(now))) do
  redis.call('ZREM', KEYS[4], gone)
  redis.call('ZREM', KEYS[5], gone)
end
if not redis.call('ZSCORE', KEYS[4], me) then
  if redis.call('ZCARD', KEYS[4]) >= tonumber(ARGV[4]) then
    return {'full'}
  end
  redis.call('ZADD', KEYS[4], redis.call('HINCRBY', KEYS[1], 'order', 1), me)
end
redis.call('ZADD', KEYS[5], int(now + tonumber(ARGV[3])), me)
local ahead = redis.call('ZRANK', KEYS[4], me)
if ahead > 0 or redis.call('EXISTS', KEYS[3]) == 1 then
  for i = 4, 5 do
    redis.call('PEXPIRE', KEYS[i], 3600000)
  end
  return {'wait', ahead}
end
redis.call('ZREM', KEYS[4], me)
redis.call('ZREM', KEYS[5], me)
local fence = redis.call('HINCRBY', KEYS[1], 'fence', 1)
redis.call('SET', KEYS[3], fence, 'PX', ARGV[2])
local m = redis.call('HMGET', KEYS[1], 'setup', 'created', 'bytes')
return {'go', fence, m[1], m[2], m[3] or '0', redis.call('HGETALL', KEYS[6]),
  redis.call('LRANGE', KEYS[2], 0, -1), ttl}
