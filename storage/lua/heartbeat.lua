-- heartbeat: an instance lives, and so do the leases of what it runs.
-- ARGV: owner, most (unused), dims, alive ms, then id fence …
-- RESULT: {'ok', id, fence …} the leases that it no longer holds; 'new' in the place of 'ok' when its
--         heartbeat before this one is not known or had run out: calls of it that wait may have been
--         dropped since, as a dead one's or with the data of the pool. (Beside the owner stands
--         'b:OWNER', which only this script moves: a submit makes its owner count as alive again.)

local p = open_pool(ARGV[1], 0, ARGV[3])
if not p then
  return no_pool()
end
local beat, till = 'b:' .. p.owner, int(p.ms + tonumber(ARGV[4]))
local before = redis.call('ZSCORE', p.pre .. 'own', beat)
local result = {before and tonumber(before) > p.ms and 'ok' or 'new'}
redis.call('ZADD', p.pre .. 'own', 'GT', till, p.owner, till, beat)
for i = 5, #ARGV, 2 do
  local v = redis.call('HMGET', p.pre .. 'j:' .. ARGV[i], 'st', 'at', 'kd')
  if v[1] == 'running' and v[2] == ARGV[i + 1] then
    redis.call('ZADD', p.pre .. 'inf', 'XX', int(p.ms + (permit_lease(v[3]) or p.lease)), ARGV[i])
  else
    result[#result + 1] = ARGV[i]
    result[#result + 1] = ARGV[i + 1]
  end
end
redis.call('PEXPIRE', p.key, POOL_TTL)
redis.call('PEXPIRE', p.pre .. 'm', POOL_TTL)
redis.call('PEXPIRE', p.pre .. 'own', POOL_TTL)
for _, d in ipairs(p.dims) do
  if d.A then
    redis.call('PEXPIRE', d.key, LOG_TTL)
  end
end
return reply(p, result)
