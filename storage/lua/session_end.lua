-- session_end: what becomes of a turn in a conversation, or of the conversation.
-- KEYS: m settings, l messages, k who runs, q waiting by order, a waiting until, f facts
-- ARGV: what ('renew', 'release', 'clear', 'delete'), fence or waiter, lease ms, now in ms
-- RESULT: 1, or 0 when there is no such turn or conversation
--
-- Clearing and deleting take the turn away from the post that runs: its commit is refused.

local what = ARGV[1]
if what == 'renew' then
  if redis.call('GET', KEYS[3]) ~= ARGV[2] then
    return 0
  end
  return redis.call('PEXPIRE', KEYS[3], ARGV[3])
end
if what == 'release' then
  redis.call('ZREM', KEYS[4], ARGV[2])
  redis.call('ZREM', KEYS[5], ARGV[2])
  if redis.call('GET', KEYS[3]) ~= ARGV[2] then
    return 0
  end
  return redis.call('DEL', KEYS[3])
end
if redis.call('EXISTS', KEYS[1]) == 0 then
  return 0
end
redis.call('DEL', KEYS[2], KEYS[3])
if what == 'clear' then
  redis.call('HSET', KEYS[1], 'bytes', 0)
  redis.call('HDEL', KEYS[6], 'turn', 'iterations', 'anchor')
else
  redis.call('DEL', KEYS[1], KEYS[4], KEYS[5], KEYS[6])
end
return 1
