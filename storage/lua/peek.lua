-- peek: looks at a pool, or at one ticket of it, and changes nothing.
-- ARGV: owner, 0, dims, id ('' for the pool alone), fields of the record to give back …
-- RESULT for a pool:   {'pool', running, eta_ms of a new ticket, binding, depth and oldest ms of
--                      each class …, ms until the last pause of a dimension is over, {closed|open|half_open,
--                      ms until the circuit lets a ticket through, why, slots (0 no limit), then for each
--                      dimension: limit told by the provider or learned (0 neither), rate, capacity …}}; then,
--                      with a tenant for the fields that has limits: its running, max_parallel, queued,
--                      max_queue, and name, capacity, remaining, full_in_ms of each dimension …
--                      With '*' in its place: {tenant, queued, running …}
-- RESULT for a ticket: {state, eta_ms, ahead, binding, values of the asked fields …}; {'none'}

local MAX_TENANTS = 128 -- STATS_MAX_TENANTS
local MAX_RUNNING = 1024

local p = open_pool(ARGV[1], 0, ARGV[3])
if not p then
  return no_pool()
end
local function look(id)
  local t = load_ticket(p, id)
  if not t then
    return {'none'}
  end
  local eta, ahead, binding = 0, 0, ''
  if t.st == 'queued' then
    eta, ahead, binding = eta_of(p, t)
  end
  local result = {t.st, int(eta), int(ahead), binding}
  local fields = {}
  for i = 5, #ARGV do
    fields[#fields + 1] = ARGV[i]
  end
  if #fields > 0 then
    for _, v in ipairs(redis.call('HMGET', p.pre .. 'j:' .. id, unpack(fields))) do
      result[#result + 1] = v or ''
    end
  end
  return result
end

-- Depth and the longest wait among the first tickets of the flows; exact when arrival orders.
local function class_depth(c)
  local depth, oldest = 0, 0
  for _, tenant in ipairs(redis.call('ZRANGE', p.pre .. 'q:' .. c, 0, -1)) do
    local key = p.pre .. 't:' .. c .. ':' .. tenant
    depth = depth + redis.call('ZCARD', key)
    local first = redis.call('ZRANGE', key, 0, 0)[1]
    local t0 = first and tonumber(redis.call('HGET', p.pre .. 'j:' .. first, 't0') or '0') or p.ms
    oldest = math.max(oldest, p.ms - t0)
  end
  for _, flow in ipairs(p.tl and redis.call('ZRANGE', p.pre .. 'pk', 0, -1) or {}) do
    if string.sub(flow, 1, 2) == c .. ':' then
      depth = depth + redis.call('ZCARD', p.pre .. 't:' .. flow)
    end
  end
  return depth, oldest
end

if ARGV[4] ~= '' then
  return reply(p, look(ARGV[4]))
end
-- A new ticket of mean cost, behind all that its tenant has waiting: the busiest flow's.
local function newcomer(list)
  local own = {flow = '', share = CLASS_WEIGHT[1], v = 1, n = 1, cost = {}}
  local busiest = nil
  for _, k in ipairs(list) do
    busiest = (not busiest or k.v > busiest.v) and k or busiest
  end
  for i = 1, #p.dims do
    own.cost[i] = busiest and busiest.cost[i] * (busiest.n + 1) / busiest.n or 1
  end
  if busiest then
    own.flow, own.share, own.n = busiest.flow, busiest.share, busiest.n + 1
    own.v = busiest.v * (busiest.n + 1) / busiest.n
  end
  return own
end

local list = shares(p)
local eta, _, binding = predict(p, newcomer(list), list)
local result = {'pool', redis.call('ZCARD', p.pre .. 'inf'), int(eta), binding}
for c = 0, 2 do
  local depth, oldest = class_depth(c)
  result[#result + 1] = depth
  result[#result + 1] = int(oldest)
end
local pause = 0
for _, d in ipairs(p.dims) do
  pause = math.max(pause, d.W - p.ms)
end
result[#result + 1] = int(pause)
local t, now = p.ad.t, circuit_wait(p)
local state = not t and 'closed' or ((now == 0 or t[4] ~= '') and 'half_open' or 'open')
local learned = {state, int(now or 0), t and t[3] or '', int(p.K)}
for _, d in ipairs(p.dims) do
  local told = d.ad and (d.ad.rate > 0 and d.R or d.ad.told) or 0
  learned[#learned + 1], learned[#learned + 2], learned[#learned + 3] = int(told), int(d.R), int(d.C)
end
result[#result + 1] = learned

-- What a tenant has left.
local function own_levels(tenant)
  local q = quota(p, tenant)
  if not q then
    return
  end
  for _, n in ipairs({q.run, q.K, own_queued(p, tenant), q.Q}) do
    result[#result + 1] = int(n)
  end
  for _, o in ipairs(q.dims) do
    if o then
      for _, v in ipairs({o.name, int(o.C), int(math.floor(o.L / o.P)), int(full_in(o, p.ms))}) do
        result[#result + 1] = v
      end
    end
  end
end

-- Who waits and who runs. Those past MAX_TENANTS are one, and of many that run the first are looked at.
local function by_tenant()
  local at, list = {}, {}
  local function note(tenant, of, n)
    if not at[tenant] and #list >= 3 * MAX_TENANTS then
      tenant = '5:other'
    end
    if not at[tenant] then
      at[tenant] = #list + 1
      list[#list + 1], list[#list + 2], list[#list + 3] = tenant, 0, 0
    end
    list[at[tenant] + of] = list[at[tenant] + of] + n
  end
  for c = 0, 2 do
    for _, tenant in ipairs(redis.call('ZRANGE', p.pre .. 'q:' .. c, 0, -1)) do
      note(tenant, 1, redis.call('ZCARD', p.pre .. 't:' .. c .. ':' .. tenant))
    end
  end
  for _, flow in ipairs(p.tl and redis.call('ZRANGE', p.pre .. 'pk', 0, -1) or {}) do
    note(string.sub(flow, 3), 1, redis.call('ZCARD', p.pre .. 't:' .. flow))
  end
  for _, id in ipairs(redis.call('ZRANGE', p.pre .. 'inf', 0, MAX_RUNNING - 1)) do
    local tenant = redis.call('HGET', p.pre .. 'j:' .. id, 'tn')
    if tenant then
      note(tenant, 2, 1)
    end
  end
  return list
end

if ARGV[5] == '*' then
  result[#result + 1] = by_tenant()
elseif ARGV[5] then
  own_levels(ARGV[5])
end
return reply(p, result)
