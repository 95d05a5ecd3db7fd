-- charge: what an instance granted by itself while it could not ask is booked here, once: as debt when
-- the bucket does not hold it. A later correction may give tokens back.
-- ARGV: owner, most, dims, number of the charge (grows with each one of this owner), tokens '1,480'
--       (negative: they come back), pauses '0,1500' (ms: nothing of this dimension before)
-- RESULT: {'charged'} or {'known'}: this charge had arrived already, nothing was changed

local CHARGE_TTL = 86400000 -- an owner that repeats a charge does so within a day

local p = open_pool(ARGV[1], ARGV[2], ARGV[3])
if not p then
  return no_pool()
end
local key = p.pre .. 'chg:' .. p.owner
local result = 'known'
if tonumber(redis.call('GET', key) or '0') < tonumber(ARGV[4]) then
  result = 'charged'
  local tokens, pauses = costs(ARGV[5]), costs(ARGV[6])
  for i, d in ipairs(p.dims) do
    if not d.A then
      d.L = math.max(math.min(d.L - tokens[i] * d.P, d.C * d.P), LEAST)
    elseif tokens[i] > 0 then
      log_extra(d, p.ms, tokens[i]) -- what comes back has no time here: it may have left already
    end
    p.X[i] = p.X[i] + tokens[i]
    if pauses[i] > 0 then
      d.W = math.max(d.W, p.ms + pauses[i])
      redis.call('HSET', p.key, d.name .. ':W', int(d.W))
    end
  end
  redis.call('SET', key, ARGV[4], 'PX', CHARGE_TTL)
end
dispatch(p)
save(p)
return reply(p, {result})
