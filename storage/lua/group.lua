-- group: how far the tickets of a group are in this pool.
-- ARGV: owner, 0, dims, group, the most ids
-- RESULT: {'none'}, or {'group', ms of the first submit, ms
--         of the last end (0 none), total, running, retrying, done, failed, dead, cancelled, expired,
--         eta_ms of the last one that waits, ids of those that have not ended …}

local p = open_pool(ARGV[1], 0, ARGV[3])
if not p then
  return no_pool()
end
local open, counts = p.pre .. 'g:' .. ARGV[4], p.pre .. 'gc:' .. ARGV[4]
local v = redis.call('HMGET', counts, 't0', 't2', 'total', 'done', 'failed', 'dead', 'cancelled', 'expired')
if not v[1] then
  return reply(p, {'none'})
end
local eta = 0
local last = redis.call('ZRANGE', open, -1, -1)[1]
local t = last and load_ticket(p, last)
if t and t.st == 'queued' then
  eta = eta_of(p, t)
end
local result = {
  'group', v[1], v[2] or '0', v[3] or '0', #redis.call('ZINTER', 2, open, p.pre .. 'inf'),
  #redis.call('ZINTER', 2, open, p.pre .. 'delay'),
}
for i = 4, 8 do
  result[#result + 1] = v[i] or '0'
end
result[#result + 1] = int(eta)
if tonumber(ARGV[5]) > 0 then
  for _, id in ipairs(redis.call('ZRANGE', open, 0, int(tonumber(ARGV[5]) - 1))) do
    result[#result + 1] = id
  end
end
return reply(p, result)
