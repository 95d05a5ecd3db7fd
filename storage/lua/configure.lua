-- configure: states the limits of a pool. Levels are kept and cut to the new capacity, never scaled.
-- ARGV: owner, start ('full': never seen before; 'empty': its data were lost), K, beta, maxq, lease,
--       losses, ttl, then for each dimension: name R P U C M rule
-- Reply: 'new', 'changed' or 'same'

local us = now_us()
local ms = math.floor(us / 1000)
local key, pre = KEYS[1], string.sub(KEYS[1], 1, -2)
local known = redis.call('HGET', key, 'dims')
local set = {
  'K', ARGV[3], 'beta', ARGV[4], 'maxq', ARGV[5], 'lease', ARGV[6], 'losses', ARGV[7], 'ttl', ARGV[8],
}
local names, kept = {}, {}
for i = 9, #ARGV, 7 do
  local name = ARGV[i]
  local R, P, U, C = tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3]), tonumber(ARGV[i + 4])
  local old = redis.call('HMGET', key, name .. ':L', name .. ':T', name .. ':R', name .. ':P', name .. ':U',
    name .. ':C', name .. ':W')
  local L, T = C * P, ms
  if old[1] and tonumber(old[4]) == P and tonumber(old[5]) == U then
    local d = {L = tonumber(old[1]), T = tonumber(old[2]), R = tonumber(old[3]), P = P, U = tonumber(old[5]),
      C = tonumber(old[6])}
    refill(d, ms) -- what was earned until now was earned at the old rate
    L, T = math.min(d.L, C * P), d.T
  elseif old[1] or (not known and ARGV[2] == 'empty') then
    L = 0 -- another period is another unit
  end
  for j, s in ipairs({'R', 'P', 'U', 'C', 'M', 'F'}) do
    set[#set + 1] = name .. ':' .. s
    set[#set + 1] = ARGV[i + j]
  end
  for _, pair in ipairs({{'L', int(L)}, {'T', int(T)}, {'W', old[7] or '0'}}) do
    set[#set + 1] = name .. ':' .. pair[1]
    set[#set + 1] = pair[2]
  end
  names[#names + 1] = name
  kept[name] = true
end
for name in string.gmatch(known or '', '[^,]+') do
  if not kept[name] then
    for _, s in ipairs(PER_DIM) do
      redis.call('HDEL', key, name .. ':' .. s)
    end
  end
end
local dims = table.concat(names, ',')
redis.call('HSET', pre .. 'm', 'h:id', '') -- a hold was counted by the old limits
redis.call('HSET', key, 'dims', dims, unpack(set))
redis.call('HSETNX', key, 'nq', 0)
redis.call('HSETNX', key, 'seq', 0)
redis.call('HSETNX', key, 'svc', 1000)
redis.call('PEXPIRE', key, POOL_TTL)
redis.call('PEXPIRE', pre .. 'm', POOL_TTL)
return known and (known == dims and 'same' or 'changed') or 'new'
