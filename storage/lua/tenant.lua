-- tenant: tenants' own limits in the pool, and flows that are parked because of them (limiter/pool.h,
-- TENANTS). Follows dim.lua; nothing here runs in a pool without such limits (p.tl).

local NEVER = -LEAST -- ms; a flow is parked until a ticket of its tenant ends

-- A tenant's limits and what is left of them; false when it has none. Kept until save().
local function quota(p, tenant)
  if not p.tl then
    return false
  end
  p.quotas = p.quotas or {}
  if p.quotas[tenant] ~= nil then
    return p.quotas[tenant]
  end
  local want = {'cfg', 'run'}
  for _, d in ipairs(p.dims) do
    want[#want + 1] = d.name .. ':L'
    want[#want + 1] = d.name .. ':T'
  end
  local v = redis.call('HMGET', p.pre .. 'u:' .. tenant, unpack(want))
  local q = v[1] and cjson.decode(v[1]) or false
  if q then
    q.run, q.dims = tonumber(v[2] or '0'), {}
    for i, d in ipairs(p.dims) do
      local o = q.dim[d.name] or false
      if o then
        o.name, o.P, o.U, o.F = d.name, d.P, d.U, d.F
        o.L, o.T = tonumber(v[2 * i + 1]), tonumber(v[2 * i + 2])
        refill(o, p.ms)
      end
      q.dims[i] = o
    end
  end
  p.quotas[tenant] = q
  return q
end

-- The first of its dimensions that never holds the cost.
local function own_over(q, cost)
  for i, o in ipairs(q.dims) do
    if o and cost[i] > o.C then
      return o
    end
  end
end

-- ms until so much work fits, and what binds. A cost above a lowered capacity runs when it is full.
local function own_wait(p, q, cost)
  local wait, binding = 0, ''
  if q.K > 0 and q.run >= q.K then
    return NEVER, 'tenant:max_parallel_requests'
  end
  for i, o in ipairs(q.dims) do
    local units = o and math.min(cost[i], o.C) * o.P or 0
    if o and cost[i] > 0 and o.L < units then
      local w = math.max(o.T + math.ceil((units - o.L) / o.R) * o.U - p.ms, 1)
      if w > wait then
        wait, binding = w, 'tenant:' .. o.name
      end
    end
  end
  return wait, binding
end

local function own_queued(p, tenant)
  local waiting = 0
  for c = 0, 2 do
    waiting = waiting + redis.call('ZCARD', p.pre .. 't:' .. c .. ':' .. tenant)
  end
  return waiting
end

local function own_charge(q, cost)
  for i, o in ipairs(q.dims) do
    if o then
      o.L = o.L - cost[i] * o.P
    end
  end
  q.run = q.run + 1
end

-- Its tenant's flows look again whether they fit.
local function hurry(p, tenant)
  for c = 0, 2 do
    redis.call('ZADD', p.pre .. 'pk', 'XX', 0, c .. ':' .. tenant)
  end
end

-- It has used more than its cost, by dimension, and goes on.
local function own_accrue(p, t, more)
  local q = t.tr and quota(p, t.tn)
  for i, o in ipairs(q and q.dims or {}) do
    if o then
      accrue_dim(p, o, more[i])
    end
  end
end

-- A grant ends; actual: what it used, nil when that is not known.
local function end_own(p, t, actual, unsent)
  local q = quota(p, t.tn)
  for i, o in ipairs(q and t.tr and actual and q.dims or {}) do
    local a = unsent and 0 or actual[i]
    if o and a >= 0 then
      settle_dim(p, o, t, t.cost[i], a, unsent)
    end
  end
  if t.tr then
    redis.call('HSET', p.pre .. 'j:' .. t.id, 'qr', 0)
    local places = t.full and 0 or 1 -- one that rode took none
    if q then
      q.run = q.run - places
    elseif places > 0 then
      redis.call('HINCRBY', p.pre .. 'u:' .. t.tn, 'run', -1)
    end
  end
  if q then
    hurry(p, t.tn)
  end
end

local function save_quotas(p)
  for tenant, q in pairs(p.quotas or {}) do
    if q then
      local a = {'run', int(q.run)}
      for _, o in ipairs(q.dims) do
        if o then
          a[#a + 1], a[#a + 2] = o.name .. ':L', int(o.L)
          a[#a + 1], a[#a + 2] = o.name .. ':T', int(o.T)
        end
      end
      redis.call('HSET', p.pre .. 'u:' .. tenant, unpack(a))
    end
  end
end
