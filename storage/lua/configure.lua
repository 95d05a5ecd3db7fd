-- configure: states the limits of a pool. Levels are kept and cut to the new capacity, never scaled.
-- ARGV: owner, start ('full': never seen before; 'empty': its data were lost), K, beta, maxq, lease,
--       losses, ttl, then for each dimension: name R P U C M rule
-- Reply: 'new', 'changed' or 'same'

local us = now_us()
local ms = math.floor(us / 1000)
local key, pre = KEYS[1], string.sub(KEYS[1], 1, -2)
local known = redis.call('HGET', key, 'dims')
local text = redis.call('HGET', key, 'cfg')
local before = text and cjson.decode(text).dim or {}
local ad = cjson.decode(redis.call('HGET', key, 'ad') or '{}')
local base, set, names, kept, rows = {}, {}, {}, {}, {}
for i, name in ipairs({'K', 'beta', 'maxq', 'lease', 'losses', 'ttl'}) do
  base[i] = format('"%s":%s', name, int(tonumber(ARGV[i + 2])))
end
for i = 9, #ARGV, 7 do
  local name = ARGV[i]
  local R, P, U, C = tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3]), tonumber(ARGV[i + 4])
  local old, state = before[name], redis.call('HMGET', key, name .. ':L', name .. ':T', name .. ':W')
  local L, T = C * P, ms
  if old and old.P == P and old.U == U then
    local d = {L = tonumber(state[1]), T = tonumber(state[2]), R = old.R, P = P, U = old.U, C = old.C, M = 0}
    adapt_open(d, ad.d and ad.d[name])
    refill(d, ms) -- what was earned until now was earned at the old rate
    L, T = math.min(d.L, C * P), d.T
  elseif old or (not known and ARGV[2] == 'empty') then
    L = 0 -- another period is another unit
  end
  if ad.d and old and (old.R ~= R or old.P ~= P or old.U ~= U or old.C ~= C) then
    ad.d[name] = nil -- learned for another limit
  end
  rows[#rows + 1] = format('"%s":{"R":%d,"P":%d,"U":%d,"C":%d,"M":%d,"F":"%s"}', name, R, P, U, C,
    tonumber(ARGV[i + 5]), ARGV[i + 6])
  for _, pair in ipairs({{'L', int(L)}, {'T', int(T)}, {'W', state[3] or '0'}}) do
    set[#set + 1] = name .. ':' .. pair[1]
    set[#set + 1] = pair[2]
  end
  names[#names + 1] = name
  kept[name] = true
end
for name in string.gmatch(known or '', '[^,]+') do
  if not kept[name] then
    redis.call('HDEL', key, name .. ':L', name .. ':T', name .. ':W')
  end
end
local dims = table.concat(names, ',')
redis.call('HSET', pre .. 'm', 'h:id', '') -- a hold was counted by the old limits
local cfg = '{' .. table.concat(base, ',') .. ',"dim":{' .. table.concat(rows, ',') .. '}}'
redis.call('HSET', key, 'cfg', cfg, 'dims', dims, unpack(set))
redis.call('HSET', key, 'ad', adapt_text({ad = ad, dims = {}}))
if known ~= dims then
  redis.call('HDEL', key, 'X') -- in the order of the dimensions
end
redis.call('HSETNX', key, 'nq', 0)
redis.call('HSETNX', key, 'seq', 0)
redis.call('HSETNX', key, 'svc', 1000)
redis.call('PEXPIRE', key, POOL_TTL)
redis.call('PEXPIRE', pre .. 'm', POOL_TTL)
return known and (known == dims and 'same' or 'changed') or 'new'
