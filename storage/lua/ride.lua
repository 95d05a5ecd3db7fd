-- ride: takes jobs along with one that runs: they are sent to the provider inside its request. A
-- rider is a grant as any, with a lease and a fence of its own, so that it ends or comes back by
-- itself whatever becomes of the others. Its tokens are charged to the one that it rides with, beyond
-- the cost, as the provider sees it: one request, of all their tokens. It takes no slot.
-- Waiting jobs of the same flow ride as far as their tokens delay nobody who is held at the head. A
-- job that was granted by itself gives its request and slot back at once, not with its settle: until
-- then the provider's header lines, which know nothing of it, would be taken for room.
-- ARGV: owner, most (0), dims, id and fence of the one that runs, bk (what they are joined by), how
--       many waiting ones at most, then id and fence of granted ones ...
-- RESULT: {'ok', how many were taken} or {'stale', state}

local SCAN = 256 -- tickets of the flow that are looked at

local p = open_pool(ARGV[1], ARGV[2], ARGV[3])
if not p then
  return no_pool()
end
local lead = load_ticket(p, ARGV[4])
if not lead or lead.st ~= 'running' or lead.at ~= tonumber(ARGV[5]) or lead.full then
  return reply(p, {'stale', lead and lead.st or 'none'})
end
local flow, left, taken, moved = p.pre .. 't:' .. lead.flow, tonumber(ARGV[7]), 0, {}

local function is_request(d)
  return d.name == 'rpm' or d.name == 'rpd'
end

local function tokens_of(t)
  local cost = {}
  for i, d in ipairs(p.dims) do
    cost[i] = is_request(d) and 0 or t.cost[i]
  end
  return cost
end

-- The tenant's own limits; its slots are not needed.
local function own_fits(q, cost)
  if not q then
    return true
  end
  local slots = q.K
  q.K = 0
  local wait = own_wait(p, q, cost)
  q.K = slots
  return wait == 0
end

-- t.cost is its tokens.
local function fits(t)
  local head = find_head(p)
  if not own_fits(quota(p, t.tn), t.cost) then
    return false
  end
  if not head or head.id == t.id or check(p, head.cost) == 0 then
    return check(p, t.cost) == 0
  end
  hold(p, head)
  local wait, takes = wait_bypass(p, head, t)
  if wait ~= 0 then
    return false
  end
  for name, used in pairs(takes) do
    p.m['h:u:' .. name] = used
  end
  return true
end

-- Out of the queue, with its fair share; a flow that its tenant's limits park has no start tag.
local function take_out(t)
  local S = redis.call('ZSCORE', p.pre .. 'q:' .. t.cl, t.tn)
  if S then
    t.S = tonumber(S)
    charge_fair(p, t)
    return
  end
  t.fb = tags(p).bp
  unqueue(p, t)
  if p.nq > 0 then
    move_tags(p, t, t.fc)
  end
end

local function mount(t, tokens)
  redis.call('HSET', p.pre .. 'j:' .. t.id, 'rd', 1)
  redis.call('SADD', p.pre .. 'rid', t.id)
  redis.call('SREM', p.pre .. 'inb', t.id)
  local q = quota(p, t.tn)
  if q then
    q.run = q.run - 1
  end
  for i = 1, #p.dims do
    moved[i] = (moved[i] or 0) + tokens[i]
  end
end

local function ride(t, whole)
  local tokens = t.cost
  charge(p, tokens)
  t.cost = whole
  take_out(t)
  t.cost = tokens
  start(p, t, true)
  mount(t, tokens)
end

local function try(id)
  local t = load_ticket(p, id)
  if not t or t.st ~= 'queued' or t.kd ~= 'job' or (t.dl > 0 and t.dl <= p.ms) then
    return
  end
  local whole = t.cost
  t.cost = tokens_of(t)
  if fits(t) then
    ride(t, whole)
    left, taken = left - 1, taken + 1
  end
end

local function give_back_request(t)
  local q = t.tr and quota(p, t.tn)
  for i, d in ipairs(p.dims) do
    if is_request(d) and t.cost[i] > 0 then
      settle_dim(p, d, t, t.cost[i], 0, true)
      p.X[i] = p.X[i] - t.cost[i]
      adapt_distrust(p, d)
      if q and q.dims[i] then
        settle_dim(p, q.dims[i], t, t.cost[i], 0, true)
      end
    end
  end
end

for i = 8, #ARGV, 2 do
  local t = load_ticket(p, ARGV[i])
  if t and t.st == 'running' and t.at == tonumber(ARGV[i + 1]) and not t.full then
    give_back_request(t)
    mount(t, tokens_of(t))
    p.wait = 0
  end
end
for _, id in ipairs(circuit_wait(p) and {} or redis.call('ZRANGE', flow, 0, SCAN - 1)) do
  if left == 0 then
    break
  end
  if redis.call('HGET', p.pre .. 'j:' .. id, 'bk') == ARGV[6] then
    try(id)
  end
end

-- What was moved to the one that runs, also in what it remembers as charged before it.
if moved[1] then
  local key, words, x, n = p.pre .. 'j:' .. lead.id, {}, {}, 0
  for i, d in ipairs(p.dims) do
    local more = (lead.e and lead.e[d.name] or 0) + moved[i]
    if more > 0 then
      words[#words + 1] = d.name .. ' ' .. int(more)
    end
  end
  for was in string.gmatch(redis.call('HGET', key, 'x') or '', '[^,]+') do
    n = n + 1
    x[n] = int(tonumber(was) + (moved[n] or 0))
  end
  redis.call('HSET', key, 'ac', table.concat(words, ';'), 'x', table.concat(x, ','))
end
save(p)
return reply(p, {'ok', taken})
