-- session_commit: adds what one answered request brings to a conversation, all or nothing.
-- KEYS: m settings, l messages, k who runs, f facts
-- ARGV: fence, ttl ms, number of increments,
-- number of settings, then pairs of both, then messages
-- RESULT: 1, or 0 when the fence is not the one that runs: nothing has changed then

local fence = ARGV[1]
if redis.call('GET', KEYS[3]) ~= fence then
  return 0
end
local at = 5
for _ = 1, tonumber(ARGV[3]) do
  redis.call('HINCRBY', KEYS[4], ARGV[at], ARGV[at + 1])
  at = at + 2
end
for _ = 1, tonumber(ARGV[4]) do
  redis.call('HSET', KEYS[4], ARGV[at], ARGV[at + 1])
  at = at + 2
end
redis.call('PEXPIRE', KEYS[4], ARGV[2])
local bytes = 0
for i = at, #ARGV do
  redis.call('RPUSH', KEYS[2], ARGV[i])
  bytes = bytes + #ARGV[i]
end
redis.call('HINCRBY', KEYS[1], 'bytes', int(bytes))
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('PEXPIRE', KEYS[2], ARGV[2])
redis.call('DEL', KEYS[3])
return 1
