-- dim: one dimension of a pool, a bucket or a sliding window. The text of a script is dim.lua,
-- tenant.lua, lib.lua, queue.lua, eta.lua and its own.
--
-- The rules are those of limiter/dim.h and limiter/window.h. A dimension is a table d: R P U C M F and,
-- of a window, A 'w' from the configuration; L T W its state. Of a window, key is its log, and T the
-- time of its last entry. What left a window is taken off its level when the pool is opened, but
-- popped only by save(): a script that keeps nothing must leave the log as it was. Until then the
-- first d.drop entries are gone.

-- %d and not %.0f, which takes twice the time.
local format = string.format
local function int(x)
  return format('%d', x)
end

local LEAST = -4503599627370496 -- -2^52: the deepest debt
local LOG_MAX = 1024 -- entries of a log, then they are merged
local QUANTA = 512 -- into so many parts of the window
local LOAD = 64 -- entries read at once, after the first two
local LOG_TTL = 2592000000 -- 30 days, as the pool

local function refill(d, ms)
  local n = math.floor((ms - d.T) / d.U)
  if n <= 0 then
    return -- a clock that steps back earns nothing, and T stays
  end
  local full = d.C * d.P
  local gap = full - d.L
  if gap <= 0 or d.R * n >= gap then
    d.L = full
  else
    d.L = d.L + d.R * n
  end
  d.T = d.T + n * d.U
end

local function need(d, c)
  if d.A then
    return c * d.P
  end
  return math.min(c * d.P + d.M, d.C * d.P)
end

-- ---- windows

-- The period, and what would take to refill the headroom.
local function length(d)
  return (d.P + math.ceil(d.M / d.R)) * d.U
end

-- Time and amount of an entry, from 0, gone ones counted; nil behind the last.
local function entry(d, i)
  while i >= d.n and not d.whole do
    local size = d.n == 0 and 2 or LOAD
    local v = redis.call('LRANGE', d.key, 2 * d.n, 2 * (d.n + size) - 1)
    for k = 1, #v, 2 do
      d.at[d.n], d.amount[d.n] = tonumber(v[k]), tonumber(v[k + 1])
      d.n = d.n + 1
    end
    d.whole = #v < 2 * size
  end
  return d.at[i], d.amount[i]
end

local function reset_cache(d)
  d.n, d.at, d.amount, d.whole, d.drop = 0, {}, {}, false, 0
end

-- Each quantum's entries become one at its end, so that none leaves too early.
local function merge(d)
  local v = redis.call('LRANGE', d.key, 2 * d.drop, -1)
  local quantum, list, n = math.ceil(length(d) / QUANTA), {}, 0
  for k = 1, #v, 2 do
    local at, amount = math.ceil(tonumber(v[k]) / quantum) * quantum, tonumber(v[k + 1])
    if amount > 0 then
      if n > 0 and d.T == at then
        amount = amount + list[n]
      else
        n = n + 2
      end
      list[n - 1], list[n], d.T = int(at), amount, at
    end
  end
  for k = 2, n, 2 do
    list[k] = int(list[k])
  end
  redis.call('DEL', d.key)
  if n > 0 then
    redis.call('RPUSH', d.key, unpack(list))
    redis.call('PEXPIRE', d.key, LOG_TTL)
  end
  reset_cache(d)
end

-- Books tokens at ms; at the last entry's time when the clock stepped back. The level is the caller's.
local function log_add(d, ms, tokens)
  if d.T >= ms and redis.call('LLEN', d.key) > 2 * d.drop then
    redis.call('LSET', d.key, -1, int(tonumber(redis.call('LINDEX', d.key, -1)) + tokens))
    if d.n > 0 and d.at[d.n - 1] == d.T then
      d.amount[d.n - 1] = d.amount[d.n - 1] + tokens
    end
    return
  end
  local len = redis.call('RPUSH', d.key, int(ms), int(tokens))
  d.T = ms
  if d.whole then
    d.at[d.n], d.amount[d.n] = ms, tokens
    d.n = d.n + 1
  end
  if len == 2 then
    redis.call('PEXPIRE', d.key, LOG_TTL)
  elseif len / 2 - d.drop > LOG_MAX then
    merge(d)
  end
end

-- What was used beside the reservation: debt when there is no room, to 2^52 units at most.
local function log_extra(d, ms, tokens)
  tokens = math.min(tokens, math.floor(-LEAST / d.P) - (d.C - d.L / d.P))
  if tokens > 0 then
    log_add(d, ms, tokens)
    d.L = d.L - tokens * d.P
  end
end

-- Takes what has left the window off its level.
local function open_window(d, ms)
  reset_cache(d)
  d.left = 0
  local till = ms - length(d)
  local at, tokens = entry(d, 0)
  if not at and d.L < d.C * d.P then
    -- Redis lost the log: what it held counts as charged now, or the limit would be granted twice
    redis.call('RPUSH', d.key, int(ms), int(d.C - d.L / d.P))
    d.T, d.whole = ms, false
  end
  while at and at <= till do
    d.L = d.L + tokens * d.P
    d.left = d.left + tokens
    d.gone = at
    d.drop = d.drop + 1
    at, tokens = entry(d, d.drop)
  end
end

-- Pops what left, which open_window() took off the level.
local function pop_gone(key, d)
  if d.drop > 0 then
    redis.call('LPOP', d.key, 2 * d.drop)
  end
  if d.gone then
    local gone = tonumber(redis.call('HGET', key, d.name .. ':G') or '0')
    redis.call('HSET', key, d.name .. ':G', int(math.max(gone, d.gone)))
  end
end

-- Takes back what was charged at a time, while the log has it (limiter/window.h). How much.
local function take_back(p, d, charged_ms, tokens)
  local gone = tonumber(redis.call('HGET', p.key, d.name .. ':G') or '0')
  if charged_ms <= math.max(gone, d.gone or 0) then
    return 0
  end
  local low, high = d.drop, redis.call('LLEN', d.key) / 2
  local last = high
  while low < high do
    local middle = math.floor((low + high) / 2)
    if tonumber(redis.call('LINDEX', d.key, 2 * middle)) < charged_ms then
      low = middle + 1
    else
      high = middle
    end
  end
  local left = tokens
  while left > 0 and low < last do
    local amount = tonumber(redis.call('LINDEX', d.key, 2 * low + 1))
    local part = math.min(amount, left)
    redis.call('LSET', d.key, 2 * low + 1, int(amount - part))
    if low < d.n then
      d.amount[low] = amount - part
    end
    left, low = left - part, low + 1
  end
  return tokens - left
end

-- ms until so many tokens have left the window; nil when it holds less.
local function wait_leave(p, d, tokens)
  local i = d.drop
  while true do
    local at, amount = entry(d, i)
    if not at then
      return nil
    end
    tokens = tokens - amount
    if tokens <= 0 then
      return math.max(at + length(d) - p.ms, 1)
    end
    i = i + 1
  end
end

-- ---- both

-- ms until the level of d reaches units, and its pause is over; 0: now.
local function wait_level(p, d, units)
  local wait = math.max(d.W - p.ms, 0)
  if d.L < units and d.A then
    wait = math.max(wait, wait_leave(p, d, math.ceil((units - d.L) / d.P)) or length(d))
  elseif d.L < units then
    wait = math.max(wait, d.T + math.ceil((units - d.L) / d.R) * d.U - p.ms, 1)
  end
  return wait
end

-- ms until it is full again.
local function full_in(d, ms)
  if d.A then
    return d.L < d.C * d.P and math.max(d.T + length(d) - ms, 0) or 0
  end
  return math.max(math.ceil((d.C * d.P - d.L) / d.R) * d.U, 0)
end

-- More than the cost turned out to be used, and it is not over.
local function accrue_dim(p, d, tokens)
  if d.A then
    log_extra(d, p.ms, tokens)
  else
    d.L = math.max(d.L - tokens * d.P, LEAST)
  end
end

-- Corrects a charge once its actual amount is known. always: all that was not used comes back.
local function settle_dim(p, d, t, cost, actual, always)
  local more = t.e and t.e[d.name] or 0
  local delta = cost + more - actual
  if d.A and d.F == 'a' and not always then
    -- output counts at the provider as it is produced, so at the latest now; what accrued stays
    d.L = d.L + take_back(p, d, t.t1, cost + math.max(more - actual, 0)) * d.P
    log_extra(d, p.ms, math.max(actual - more, 0))
  elseif delta < 0 and d.A then
    log_extra(d, p.ms, -delta)
  elseif delta < 0 then
    d.L = math.max(d.L + delta * d.P, LEAST) -- more than was reserved: debt
  elseif (always or d.F ~= 'k') and d.A then
    d.L = d.L + take_back(p, d, t.t1, delta) * d.P
  elseif always or d.F ~= 'k' then
    d.L = math.min(d.C * d.P, d.L + delta * d.P)
  end
end
