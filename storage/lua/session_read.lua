-- session_read: a conversation as it is at one moment.
-- KEYS: m settings, l messages, f facts
-- RESULT: {'none'}, or {'go', 0, setup, created, bytes, facts, messages, ms it lives on}

if redis.call('EXISTS', KEYS[1]) == 0 then
  return {'none'}
end
local m = redis.call('HMGET', KEYS[1], 'setup', 'created', 'bytes')
return {'go', 0, m[1], m[2], m[3] or '0', redis.call('HGETALL', KEYS[3]),
  redis.call('LRANGE', KEYS[2], 0, -1), redis.call('PTTL', KEYS[1])}
