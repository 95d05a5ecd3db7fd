-- configure: states the limits of a pool. Levels are kept and cut to the new capacity, never scaled.
-- ARGV: owner, start ('full': never seen before; 'empty': its data were lost), K, beta, maxq, lease,
--       losses, ttl, B (permille of K for the class batch, 0 all), tenants' own limits (JSON: tenant -> {K: max_parallel, Q: queued tickets, dim: {name:
--       [R, C]}}), then for each dimension: name R P U C M rule algorithm (b bucket, w window)
-- Reply: 'new', 'changed' or 'same'

local TENANT_TTL = 31536000000 -- a year without a configure: each start and reload makes one
local us = now_us()
local ms = math.floor(us / 1000)
local key, pre = KEYS[1], string.sub(KEYS[1], 1, -2)
local known = redis.call('HGET', key, 'dims')
local text = redis.call('HGET', key, 'cfg')
local before = text and cjson.decode(text).dim or {}
local ad = cjson.decode(redis.call('HGET', key, 'ad') or '{}')
local base, set, names, kept, rows = {}, {}, {}, {}, {}

-- What was earned until now was earned under the old limits.
local function refill_old(old)
  if old.A then
    old.key = pre .. 'w:' .. old.name
    open_window(old, ms)
    pop_gone(key, old)
  else
    refill(old, ms)
  end
end

-- A log that starts with so many tokens, charged now; G: charges until then never come back.
local function start_log(d, tokens, since)
  redis.call('DEL', d.key)
  reset_cache(d)
  d.L, d.T, d.G = d.C * d.P, ms, since
  log_extra(d, ms, tokens)
end

-- Level and time of a dimension: kept where the unit is the same; another period is another unit.
local function set_state(d, old, empty)
  local same = old and old.P == d.P and old.U == d.U
  if old then
    refill_old(old)
  end
  if d.A and old and old.A and same then
    -- old.C is the learned capacity, which goes on unless the limit is another one
    local learned = old.ad and not d.forgets
    d.L, d.T = learned and old.L or old.L + (d.C - old.C) * d.P, old.T
  elseif d.A and old and not old.A then
    local held = math.min(old.L, d.C * d.P)
    start_log(d, same and d.C - math.floor(held / d.P) or d.C, math.max(ms, old.T + old.U - 1))
  elseif d.A then
    start_log(d, (old or empty) and d.C or 0, ms)
  elseif same then
    d.L, d.T = math.min(old.L, d.C * d.P), old.A and ms or old.T
  else
    d.L, d.T = (old or empty) and 0 or d.C * d.P, ms
  end
  if old and old.A and not d.A then
    redis.call('DEL', d.key)
    redis.call('HDEL', key, d.name .. ':G')
  end
end

for i, name in ipairs({'K', 'beta', 'maxq', 'lease', 'losses', 'ttl', 'B'}) do
  base[i] = format('"%s":%s', name, int(tonumber(ARGV[i + 2])))
end
for i = 11, #ARGV, 8 do
  local name = ARGV[i]
  local R, P, U, C = tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3]), tonumber(ARGV[i + 4])
  local old, v = before[name], redis.call('HMGET', key, name .. ':L', name .. ':T', name .. ':W')
  local d = {name = name, R = R, P = P, U = U, C = C, A = ARGV[i + 7] == 'w' or nil, W = v[3] or '0'}
  if old and ad.d and (old.R ~= R or old.P ~= P or old.U ~= U or old.C ~= C or old.A and 'w' ~= ARGV[i + 7]
    or not old.A and d.A) then
    d.forgets = ad.d[name] -- learned for another limit
  end
  if old then
    old.name, old.L, old.T = name, tonumber(v[1]), tonumber(v[2])
    adapt_open(old, ad.d and ad.d[name])
  end
  d.key = pre .. 'w:' .. name
  set_state(d, old, not known and ARGV[2] == 'empty')
  if d.forgets then
    ad.d[name] = nil
  end
  rows[#rows + 1] = format('"%s":{"R":%d,"P":%d,"U":%d,"C":%d,"M":%d,"F":"%s"%s}', name, R, P, U, C,
    tonumber(ARGV[i + 5]), ARGV[i + 6], d.A and ',"A":"w"' or '')
  for _, pair in ipairs({{'L', int(d.L)}, {'T', int(d.T)}, {'W', d.W}, {'G', d.G and int(d.G)}}) do
    if pair[2] then
      set[#set + 1] = name .. ':' .. pair[1]
      set[#set + 1] = pair[2]
    end
  end
  names[#names + 1] = name
  kept[name] = d
end
for name in string.gmatch(known or '', '[^,]+') do
  if not kept[name] then
    redis.call('HDEL', key, name .. ':L', name .. ':T', name .. ':W', name .. ':G')
    redis.call('DEL', pre .. 'w:' .. name)
  end
end
-- A tenant's buckets keep their levels as the pool's do.
local function own_dims(tenant, own)
  local u = pre .. 'u:' .. tenant
  local text_before = redis.call('HGET', u, 'cfg')
  local dim_before = text_before and cjson.decode(text_before).dim or {}
  local list, state = {}, {}
  for name, v in pairs(own.dim) do
    local now, old, was = kept[name], dim_before[name], before[name]
    local L, T = v[2] * now.P, ms
    if old and was and was.P == now.P and was.U == now.U then
      old.P, old.U = was.P, was.U
      old.L, old.T = tonumber(redis.call('HGET', u, name .. ':L')), tonumber(redis.call('HGET', u, name .. ':T'))
      refill(old, ms)
      L, T = math.min(old.L, L), old.T
    elseif old and was then
      L = 0
    end
    list[#list + 1] = format('"%s":{"R":%d,"C":%d}', name, v[1], v[2])
    state[#state + 1], state[#state + 2] = name .. ':L', int(L)
    state[#state + 1], state[#state + 2] = name .. ':T', int(T)
  end
  redis.call('HSET', u, 'cfg', format('{"K":%d,"Q":%d,"dim":{%s}}', own.K, own.Q, table.concat(list, ',')),
    unpack(state))
  redis.call('PEXPIRE', u, TENANT_TTL)
end

local own = cjson.decode(ARGV[10])
for _, tenant in ipairs(redis.call('SMEMBERS', pre .. 'lim')) do
  if not own[tenant] then
    redis.call('HDEL', pre .. 'u:' .. tenant, 'cfg')
  end
end
redis.call('DEL', pre .. 'lim')
for tenant, limits in pairs(own) do
  own_dims(tenant, limits)
  redis.call('SADD', pre .. 'lim', tenant)
end
if redis.call('EXISTS', pre .. 'pk') == 1 then
  redis.call('ZUNIONSTORE', pre .. 'pk', 1, pre .. 'pk', 'WEIGHTS', 0) -- they look again
  base[#base + 1] = '"tl":1'
elseif next(own) then
  base[#base + 1] = '"tl":1'
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
if next(own) then
  redis.call('PEXPIRE', pre .. 'lim', TENANT_TTL)
end
redis.call('PEXPIRE', key, POOL_TTL)
redis.call('PEXPIRE', pre .. 'm', POOL_TTL)
return known and (known == dims and 'same' or 'changed') or 'new'
