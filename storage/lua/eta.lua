-- eta: when a queued ticket is likely to start (follows queue.lua; used by submit and peek).
--
-- Every other flow is served, until this ticket's turn, in proportion to its share: with own work
-- v (queued fair cost up to and with the ticket) and share w = class weight * tenant weight / all
-- tenant weights of the class, flow k gives v * w_k / w work, at most its backlog. The sum per
-- dimension against level and rate gives the wait; the longest one binds. Exact for the head,
-- a prediction for others: later arrivals of a higher class are not foreseen.

local function read_flow(p, c, tenant)
  local flow = c .. ':' .. tenant
  local want = {'w:' .. flow, 'b:' .. flow .. ':v'}
  for _, d in ipairs(p.dims) do
    want[#want + 1] = 'b:' .. flow .. ':' .. d.name
  end
  local v = redis.call('HMGET', p.pre .. 'f', unpack(want))
  local k = {flow = flow, cl = c, w = tonumber(v[1] or '1'), v = tonumber(v[2] or '0'), cost = {}}
  for i = 1, #p.dims do
    k.cost[i] = tonumber(v[2 + i] or '0')
  end
  k.n = redis.call('ZCARD', p.pre .. 't:' .. flow)
  return k
end

-- also: a ticket whose flow is looked at though it is parked.
local function shares(p, also)
  local list, sum, seen = {}, {[0] = 0, 0, 0}, false
  for _, c in ipairs(classes(p, true)) do
    for _, tenant in ipairs(redis.call('ZRANGE', p.pre .. 'q:' .. c, 0, ETA_FLOWS - 1)) do
      local k = read_flow(p, c, tenant)
      sum[c] = sum[c] + k.w
      list[#list + 1] = k
      seen = seen or (also and also.flow == k.flow)
    end
  end
  if also and p.tl and not seen then
    local k = read_flow(p, also.cl, also.tn)
    sum[k.cl] = sum[k.cl] + k.w
    list[#list + 1] = k
  end
  for _, k in ipairs(list) do
    k.share = CLASS_WEIGHT[k.cl] * k.w / sum[k.cl]
  end
  return list
end

-- ms until so many tokens of d may have been granted one after the other. A window that holds less at
-- once turns over as often as it must, and each time as now.
local function wait_work(p, d, tokens)
  if d.A then
    local rounds = math.max(math.ceil(tokens / d.C) - 1, 0)
    return wait_level(p, d, (tokens - rounds * d.C) * d.P) + rounds * length(d)
  end
  local short = tokens * d.P + d.M - d.L
  return math.max(d.W - p.ms, short > 0 and math.ceil(short / d.R) * d.U or 0)
end

-- own: {flow, share, v, n, cost} of the work up to and with the ticket. ms, tickets ahead, binding.
local function predict(p, own, list)
  local ahead, work = own.n - 1, {}
  for i = 1, #p.dims do
    work[i] = own.cost[i]
  end
  for _, k in ipairs(list) do
    if k.flow ~= own.flow and k.v > 0 then
      local part = math.min(1, own.v * k.share / (own.share * k.v))
      ahead = ahead + part * k.n
      for i = 1, #p.dims do
        work[i] = work[i] + part * k.cost[i]
      end
    end
  end
  local eta, binding = 0, ''
  for i, d in ipairs(p.dims) do
    if own.cost[i] > 0 then
      local wait = wait_work(p, d, work[i])
      if wait > eta then
        eta, binding = wait, d.name
      end
    end
  end
  local slots = p.K > 0 and redis.call('ZCARD', p.pre .. 'inf') + ahead + 1 - p.K or 0
  if slots > 0 and slots / p.K * p.svc > eta then
    eta, binding = math.ceil(slots / p.K * p.svc), 'max_parallel_requests'
  end
  return eta, math.floor(ahead), binding
end

-- ms until the tenant's own limits let so much work; the first of it is exact.
local function own_eta(p, t, work)
  local q = quota(p, t.tn)
  if not q then
    return 0, ''
  end
  local wait, binding = own_wait(p, q, t.cost)
  if wait == NEVER then
    return p.svc, binding
  end
  for i, o in ipairs(q.dims) do
    local short = o and work[i] * o.P - o.L or 0
    if short > 0 and math.ceil(short / o.R) * o.U > wait then
      wait, binding = math.ceil(short / o.R) * o.U, 'tenant:' .. o.name
    end
  end
  return wait, binding
end

-- The same, with the slots of its class taken: until one of them ends.
local function class_eta(p, class, eta, binding)
  if class == 2 and eta < p.svc and batch_full(p) then
    return p.svc, 'max_parallel_requests'
  end
  return eta, binding
end

-- For a ticket that stands in the queue. Cost ahead inside its own flow is the flow's mean.
local function eta_of(p, t)
  local list, own = shares(p, t), nil
  for _, k in ipairs(list) do
    own = k.flow == t.flow and k or own
  end
  if not own then
    return 0, 0, ''
  end
  local rank = redis.call('ZRANK', p.pre .. 't:' .. t.flow, t.id) or 0
  local before = own.n > 1 and rank / (own.n - 1) or 0
  local mine = {flow = t.flow, share = own.share, n = rank + 1, cost = {}}
  mine.v = t.fc + before * math.max(own.v - t.fc, 0)
  for i = 1, #p.dims do
    mine.cost[i] = t.cost[i] + before * math.max(own.cost[i] - t.cost[i], 0)
  end
  if rank == 0 and tags(p)['h:id'] == t.id then
    local wait, binding = check(p, t.cost) -- the head: exact
    return wait, 0, binding
  end
  local eta, ahead, binding = predict(p, mine, list)
  local own_ms, own_binding = own_eta(p, t, mine.cost)
  eta, binding = class_eta(p, t.cl, eta, binding)
  if own_ms > eta then
    return own_ms, ahead, own_binding
  end
  return eta, ahead, binding
end
