-- queue: order, hold and bypass, and the turn that every script ends with. Follows lib.lua.

-- Classes that have queued tickets, by start tag; equal tags: the lower class. Without one that is
-- barred, unless all are asked for.
local function classes(p, all)
  local m, list = tags(p), {}
  for c = 0, 2 do
    if m['S' .. c] and (all or c ~= 2 or m.bar ~= 1) then
      list[#list + 1] = c
    end
  end
  table.sort(list, function(a, b)
    local A, B = m['S' .. a], m['S' .. b]
    return A < B or (A == B and a < b)
  end)
  return list
end

-- The slots of the class batch are taken.
local function batch_full(p)
  return p.K > 0 and p.B > 0 and redis.call('SCARD', p.pre .. 'inb') >= math.max(math.floor(p.K * p.B / 1000), 1)
end

local function bar(p)
  local m, full = tags(p), batch_full(p)
  if m.bar == 1 and not full and m.S2 then
    m.S2 = math.max(m.S2, m.v) -- what it missed is no credit
  end
  m.bar = full and 1 or nil
end

-- The fair head; with the tags it stands at.
local function find_head(p)
  while true do
    local list = classes(p)
    if #list == 0 or (p.drops or 0) >= MAX_DROPS then
      return nil
    end
    local flow = redis.call('ZRANGE', p.pre .. 'q:' .. list[1], 0, 0, 'WITHSCORES')
    local t = flow[1] and first_of(p, list[1], flow[1])
    if t then
      t.S = tonumber(flow[2])
      return t
    end
  end
end

-- Puts an amount on the finish tag of a flow and of its class, and on their start tags while
-- they wait: 1000 times the cost by the weight, rounded up.
local function move_tags(p, t, amount)
  local m, f = tags(p), p.pre .. 'f'
  local by = math.ceil(amount * 1000 / t.w)
  local F = tonumber(redis.call('HGET', f, 'F:' .. t.flow) or '0')
  local S = redis.call('ZSCORE', p.pre .. 'q:' .. t.cl, t.tn)
  redis.call('HSET', f, 'F:' .. t.flow, int(F + by))
  if S then
    redis.call('ZADD', p.pre .. 'q:' .. t.cl, int(tonumber(S) + by), t.tn)
  end
  by = math.ceil(amount * 1000 / CLASS_WEIGHT[t.cl])
  m['F' .. t.cl] = m['F' .. t.cl] + by
  if m['S' .. t.cl] then
    m['S' .. t.cl] = m['S' .. t.cl] + by
  end
end

-- Charges a queued ticket to its flow and class as it is granted, and takes it out.
local function charge_fair(p, t)
  local m, c = tags(p), t.cl
  local least = classes(p)
  m.v = math.max(m.v, m['S' .. least[1]])
  local first = redis.call('ZRANGE', p.pre .. 'q:' .. c, 0, 0, 'WITHSCORES')
  m['v' .. c] = math.max(m['v' .. c], tonumber(first[2]))
  t.fb = m.bp
  local F = t.S + math.ceil(t.fc * 1000 / t.w)
  local class_F = m['S' .. c] + math.ceil(t.fc * 1000 / CLASS_WEIGHT[c])
  unqueue(p, t)
  if p.nq > 0 then
    m['F' .. c] = class_F
    m['S' .. c] = m['S' .. c] and class_F
    redis.call('HSET', p.pre .. 'f', 'F:' .. t.flow, int(F))
    redis.call('ZADD', p.pre .. 'q:' .. c, 'XX', int(F), t.tn)
  end
end

-- Makes t run. A job goes to the calling instance, a call to the one that holds its client.
local function start(p, t, fair)
  p.seq = p.seq + 1
  t.at = t.at + 1
  if t.kd == 'job' then
    t.ow = p.owner
  end
  local q = quota(p, t.tn)
  if q then
    own_charge(q, t.cost)
    redis.call('HSET', p.pre .. 'j:' .. t.id, 'qr', 1)
  end
  take_slot(p, t.id, t.cl, permit_lease(t.kd) or p.lease)
  redis.call('HSET', p.pre .. 'j:' .. t.id, 'st', 'running', 'at', int(t.at), 'fv', int(fair and t.fc or 0),
    'fb', int(t.fb or -1), 'ow', t.ow, 'seq', int(p.seq), 'x', charged(p), 't1', int(p.ms))
  circuit_probe(p, t.id)
  tell(p, t.id, t.kd, 'running')
  if t.ow ~= p.owner then
    redis.call('PUBLISH', 'sluice:i:' .. t.ow,
      'grant ' .. t.id .. ' ' .. int(t.at) .. ' ' .. int(p.seq) .. ' ' .. p.pre)
    return
  end
  local g = p.grants
  g[#g + 1] = t.id
  g[#g + 1] = int(t.at)
  g[#g + 1] = int(p.seq)
  g[#g + 1] = t.kd
end

local function grant(p, t)
  charge(p, t.cost)
  charge_fair(p, t)
  start(p, t, true)
  p.count = p.count + 1
end

-- What bypassing tickets may have taken of d after n ticks: floor(beta * R * n / 1000), n at most
-- one period. Split so that no product passes 2^53.
local function allowance(p, d, n)
  n = math.min(n, d.P)
  local a = p.beta * d.R
  local q, r = math.floor(n / 1000), n % 1000
  return a * q + math.floor(a / 1000) * r + math.floor((a % 1000) * r / 1000)
end

-- Ticks after which the allowance reaches units; nil: never within this hold.
local function ticks_until(p, d, units)
  if units > allowance(p, d, d.P) then
    return nil
  end
  local n = math.ceil(units / (p.beta * d.R) * 1000)
  while n > 0 and allowance(p, d, n - 1) >= units do
    n = n - 1
  end
  while allowance(p, d, n) < units do
    n = n + 1
  end
  return n
end

-- ms until the hold's share of d is so many units (0 now, nil not within this hold): of what a bucket
-- earned, or what left a window, since it began.
local function wait_share(p, d, units)
  local m = tags(p)
  if not d.A then
    local n = ticks_until(p, d, units)
    return n and math.max(m['h:t'] + n * d.U - p.ms, 0)
  end
  local tokens = units / d.P
  if p.beta == 0 or tokens > math.floor(p.beta * d.C / 1000) then
    return nil
  end
  local leave = math.ceil(tokens * 1000 / p.beta) - m['h:g:' .. d.name]
  return leave <= 0 and 0 or wait_leave(p, d, leave)
end

-- ms until candidate t may pass the head (0 now, nil not within this hold), and, for now, what
-- it adds to the hold's used amounts.
local function wait_bypass(p, head, t)
  local m, wait, takes = tags(p), 0, {}
  for i, d in ipairs(p.dims) do
    local c = t.cost[i] * d.P
    if c > 0 then
      wait = math.max(wait, wait_level(p, d, need(d, t.cost[i])))
      local keep = head.cost[i] > 0 and need(d, head.cost[i]) or 0
      if d.L - c < keep then
        local used = m['h:u:' .. d.name] + c
        local share = wait_share(p, d, used)
        local spare = keep + c <= d.C * d.P and wait_level(p, d, keep + c) or nil
        if not share and not spare then
          return nil
        end
        wait = math.max(wait, math.min(share or spare, spare or share))
        takes[d.name] = used
      end
    end
  end
  return wait, takes
end

-- Lets one ticket pass the held head. The ms until one may, when none may now; nil never.
local function bypass(p, head)
  local m, soonest, seen = tags(p), nil, 0
  for _, c in ipairs(classes(p)) do
    local flows = redis.call('ZRANGE', p.pre .. 'q:' .. c, 0, MAX_SCAN)
    for _, tenant in ipairs(flows) do
      if seen >= MAX_SCAN then
        return soonest
      end
      if c ~= head.cl or tenant ~= head.tn then
        seen = seen + 1
        local t = first_of(p, c, tenant)
        local wait, takes = nil, nil
        if t then
          wait, takes = wait_bypass(p, head, t)
        end
        if wait == 0 then
          for name, used in pairs(takes) do
            m['h:u:' .. name] = used
          end
          t.S = tonumber(redis.call('ZSCORE', p.pre .. 'q:' .. c, tenant))
          grant(p, t)
          return 0
        end
        soonest = wait and math.min(wait, soonest or wait) or soonest
        if t and t.dl > 0 then
          soonest = math.min(t.dl - p.ms, soonest or t.dl)
        end
      end
    end
  end
  return soonest
end

-- A head that does not fit keeps its place; the hold is new when the head is another ticket.
local function hold(p, head)
  local m = tags(p)
  if m['h:id'] == head.id then
    return
  end
  m['h:id'], m['h:t'] = head.id, p.ms
  for _, d in ipairs(p.dims) do
    m['h:u:' .. d.name] = 0
    m['h:g:' .. d.name] = d.A and 0 or nil
  end
end

local function promote(p)
  local due = redis.call('ZRANGEBYSCORE', p.pre .. 'delay', '-inf', int(p.ms), 'LIMIT', 0, 64)
  for _, id in ipairs(due) do
    redis.call('ZREM', p.pre .. 'delay', id)
    local t = load_ticket(p, id)
    if t and t.st == 'delayed' then
      redis.call('HSET', p.pre .. 'j:' .. id, 'st', 'queued')
      enqueue(p, t)
    end
  end
end

local function slots_full(p)
  return p.K > 0 and redis.call('ZCARD', p.pre .. 'inf') - redis.call('SCARD', p.pre .. 'rid') >= p.K
end

-- Grants until nothing more fits or the most was reached; says when to look again.
local function turn(p)
  p.wait = -1
  while p.nq > 0 do
    if p.count >= p.most then
      p.wait = 0
      return
    end
    local open_ms = circuit_wait(p)
    if open_ms and open_ms > 0 then
      p.wait, p.binding = open_ms, 'circuit'
      return
    end
    if slots_full(p) then
      p.wait, p.binding = -2, 'max_parallel_requests'
      return
    end
    bar(p)
    local head = find_head(p)
    if not head then
      p.wait = #classes(p) > 0 and 0 or -1
      return
    end
    local wait, binding = check(p, head.cost)
    if wait == 0 then
      grant(p, head)
    else
      hold(p, head)
      local other = bypass(p, head)
      if other ~= 0 then
        if p.drops >= MAX_DROPS then
          p.wait = 0 -- stopped early: there is more to drop
          return
        end
        p.wait, p.binding = math.min(wait, other or wait), binding
        if head.dl > 0 then
          p.wait = math.min(p.wait, head.dl - p.ms)
        end
        return
      end
    end
  end
end

-- The delayed ticket that is due first, as {id, ms}; empty when there is none.
local function first_delayed(p)
  return redis.call('ZRANGE', p.pre .. 'delay', 0, 0, 'WITHSCORES')
end

-- Flows whose tenant's limits may let them now come back.
local function bring_back(p)
  local pk = p.pre .. 'pk'
  local due = redis.call('ZRANGEBYSCORE', pk, '-inf', int(p.ms), 'LIMIT', 0, 64)
  for _, flow in ipairs(due) do
    redis.call('ZREM', pk, flow)
    come_in(p, tonumber(string.sub(flow, 1, 1)), string.sub(flow, 3))
  end
end

-- A turn's wait, with what becomes due by itself.
local function wait_for_due(p, at)
  local wait = math.max(at - p.ms, 1)
  p.wait = p.wait < 0 and p.wait ~= -2 and wait or (p.wait > 0 and math.min(p.wait, wait) or p.wait)
end

local function dispatch(p)
  local due = first_delayed(p)
  if due[2] and tonumber(due[2]) <= p.ms then
    promote(p)
    due = first_delayed(p)
  end
  if p.tl then
    bring_back(p)
  end
  turn(p)
  if due[2] then
    wait_for_due(p, tonumber(due[2]))
  end
  local parked = p.tl and redis.call('ZRANGE', p.pre .. 'pk', 0, 0, 'WITHSCORES')
  if parked and parked[2] and tonumber(parked[2]) < NEVER then
    wait_for_due(p, tonumber(parked[2]))
  end
  if p.wait == -1 and p.nq > 0 then
    p.wait = -2
  end
end

-- {RESULT…} with what every reply tells.
local function reply(p, result)
  local levels, n = {}, 0
  for _, d in ipairs(p.dims) do
    levels[n + 1] = math.floor(d.L / d.P)
    levels[n + 2] = full_in(d, p.ms)
    n = n + 2
  end
  return {result, p.wait, p.binding, p.grants, levels, p.nq, foreseen_output(p)}
end
