-- probe: what would become of a ticket that came now; nothing is changed.
-- ARGV: owner, 0, dims, class (0-2), tenant, weight, costs '1,500', fair cost
-- RESULT: {'granted'} {'queued', eta_ms, ahead, binding} {'too_large', dim, capacity} {'full', queued}

local p = open_pool(ARGV[1], 0, ARGV[3])
if not p then
  return no_pool()
end
local class, tenant, weight = tonumber(ARGV[4]), ARGV[5], tonumber(ARGV[6])
local cost, fair = costs(ARGV[7]), tonumber(ARGV[8])
local over = never_fits(p, cost)
if over then
  return reply(p, {'too_large', over.name, int(over.C)})
end
local wait, short = check(p, cost)
if p.nq == 0 and wait == 0 and not slots_full(p) then
  return reply(p, {'granted'})
end
if p.nq >= p.maxq then
  return reply(p, {'full', int(p.nq)})
end

-- The flow it would stand in, with it at the end: what predict() takes.
local list, others, own = shares(p), 0, nil
local flow = ARGV[4] .. ':' .. tenant
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
return reply(p, {'queued', int(eta), int(ahead), binding})
