-- probe: what would become of a ticket that came now; nothing is changed.
-- ARGV: owner, 0, dims, class (0-2), tenant, weight, costs '1,500', fair cost
-- RESULT: {'granted'} {'queued', eta_ms, ahead, binding} {'too_large', dim, capacity} {'full', queued}
--         {'tenant_full', queued, max_queue} {'circuit', why, ms}: there is no money (see submit.lua)

local p = open_pool(ARGV[1], 0, ARGV[3])
if not p then
  return no_pool()
end
local class, tenant, weight = tonumber(ARGV[4]), ARGV[5], tonumber(ARGV[6])
local cost, fair = costs(ARGV[7]), tonumber(ARGV[8])
local over = never_fits(p, cost)
if over then
  return reply(p, {'too_large', over.name, int(adapt_largest(over))})
end
local limits = quota(p, tenant)
over = limits and own_over(limits, cost)
if over then
  return reply(p, {'too_large', 'tenant:' .. over.name, int(over.C)})
end
for i, d in ipairs(p.dims) do
  cost[i] = math.min(cost[i], d.C) -- as in submit.lua
end
local open_ms = circuit_wait(p) or 0
if open_ms > 0 then
  return reply(p, {'circuit', p.ad.t[3], int(open_ms)})
end
local wait, short = check(p, cost)
local own_ms, own_short = limits and own_wait(p, limits, cost) or 0, ''
if p.nq == 0 and wait == 0 and own_ms == 0 and not slots_full(p)
  and not (class == 2 and batch_full(p)) then
  return reply(p, {'granted'})
end
if p.nq >= p.maxq then
  return reply(p, {'full', int(p.nq)})
end
if limits and own_queued(p, tenant) >= limits.Q and limits.Q > 0 then
  return reply(p, {'tenant_full', int(own_queued(p, tenant)), int(limits.Q)})
end

-- The flow it would stand in, with it at the end: what predict() takes.
local flow = ARGV[4] .. ':' .. tenant
local list, others, own = shares(p, {flow = flow, cl = class, tn = tenant}), 0, nil
for _, k in ipairs(list) do
  if k.flow == flow then
    own = k
  elseif k.cl == class then
    others = others + k.w
  end
end
local mine = {flow = flow, n = (own and own.n or 0) + 1, v = (own and own.v or 0) + fair, cost = {}}
mine.share = CLASS_WEIGHT[class] * weight / (others + weight)
for i = 1, #p.dims do
  mine.cost[i] = (own and own.cost[i] or 0) + cost[i]
end
local eta, ahead, binding = predict(p, mine, list)
if wait > eta then
  eta, binding = wait, short
end
eta, binding = class_eta(p, class, eta, binding)
own_ms, own_short = own_eta(p, {tn = tenant, cost = cost}, mine.cost)
if own_ms > eta then
  eta, binding = own_ms, own_short
end
return reply(p, {'queued', int(eta), int(ahead), binding})
