-- reap: leases that ended give their slot back; their tokens stay charged. The ticket goes back to
-- its old place, or is dead when it has lost too many leases. A permit has expired: whoever had it may
-- have sent its request.
-- ARGV: owner, most, dims
-- RESULT: {'ok', reaped, the first of them …}

local p = open_pool(ARGV[1], ARGV[2], ARGV[3])
if not p then
  return no_pool()
end
local ended = redis.call('ZRANGEBYSCORE', p.pre .. 'inf', '-inf', int(p.ms), 'LIMIT', 0, 100)
local result = {'ok', #ended}
for _, id in ipairs(ended) do
  free_slot(p, id)
  local t = load_ticket(p, id)
  if t and t.st == 'running' then
    local key = p.pre .. 'j:' .. id
    end_own(p, t, nil, false)
    forget_accrued(p, t)
    dismount(p, t)
    local lost = redis.call('HINCRBY', key, 'ls', 1)
    if permit_lease(t.kd) then
      finish(p, t, 'expired')
    elseif lost >= p.losses then
      finish(p, t, 'dead')
    elseif redis.call('HEXISTS', key, 'cancel') == 1 or (t.kd == 'call' and not alive(p, t.ow)) then
      finish(p, t, 'cancelled')
    else
      redis.call('HSET', key, 'st', 'queued')
      enqueue(p, t)
      tell(p, id, t.kd, 'queued')
    end
  end
  result[#result + 1] = id
end
redis.call('ZREMRANGEBYSCORE', p.pre .. 'own', '-inf', int(p.ms - 60000))
dispatch(p)
save(p)
return reply(p, result)
