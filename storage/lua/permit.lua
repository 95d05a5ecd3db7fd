-- permit: looks at a permit, and may extend its lease; a lease that has ended stays so.
-- ARGV: owner, most (unused), dims, id, ms from now that the lease is to last (0: only look; one that
--       lasts longer is kept), then fields of the record to give back …
-- RESULT: {state, fence, ms left of the lease (below 1: it has ended), values of the asked fields …};
--         {'none'}: no permit of this id is known

local p = open_pool(ARGV[1], 0, ARGV[3])
if not p then
  return no_pool()
end
local id, want = ARGV[4], {'st', 'at', 'kd'}
local key = p.pre .. 'j:' .. id
for i = 6, #ARGV do
  want[#want + 1] = ARGV[i]
end
local v = redis.call('HMGET', key, unpack(want))
if not v[1] or not permit_lease(v[3]) then
  return reply(p, {'none'})
end
local till = tonumber(redis.call('ZSCORE', p.pre .. 'inf', id) or '0')
local asked = p.ms + tonumber(ARGV[5])
if v[1] == 'running' and till > p.ms and asked > till then
  till = asked
  redis.call('ZADD', p.pre .. 'inf', 'XX', int(till), id)
  -- The record outlives its lease, so that its end can be told.
  redis.call('PEXPIRE', key, int(asked - p.ms + 86400000))
end
local result = {v[1], v[2], int(till - p.ms)}
for i = 4, #want do
  result[#result + 1] = v[i] or ''
end
return reply(p, result)
