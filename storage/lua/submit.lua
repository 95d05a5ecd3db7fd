-- submit: a ticket arrives. With nothing queued and room in every bucket it is charged and leased here.
-- ARGV: owner, most, dims, id, kind (call|job|permit MS), class (0-2), tenant, weight, costs '1,500', fair cost,
--       deadline in ms from now (0 none), aging ms, alive ms (how long the owner of a call counts as
--       alive without a heartbeat), place in the tenant's list of jobs as 'ORDER TTL_MS MOST GROUP'
--       ('': not listed; GROUP may be empty), then the caller's own fields of the record: name value …
-- RESULT: {'granted', fence, seq} {'queued', eta_ms, ahead, binding} {'too_large', dim, capacity}
--         (dim and binding: 'tpm' of the pool, 'tenant:tpm' of the tenant)
--         {'full', queued} {'tenant_full', queued, max_queue} {'known', state, fence, seq}
--         {'circuit', why, ms}: a call, while the provider says that there is no money; one that is
--         known and waits is taken out

local p = open_pool(ARGV[1], ARGV[2], ARGV[3])
if not p then
  return no_pool()
end
local id, kind, class, tenant = ARGV[4], ARGV[5], tonumber(ARGV[6]), ARGV[7]
local key = p.pre .. 'j:' .. id
local t = {
  id = id, kd = kind, cl = class, tn = tenant, flow = ARGV[6] .. ':' .. tenant, w = tonumber(ARGV[8]),
  cost = costs(ARGV[9]), fc = tonumber(ARGV[10]), at = 0, ow = p.owner,
}
local in_ms = tonumber(ARGV[11])
t.dl = in_ms > 0 and p.ms + in_ms or 0
t.ord = int(math.min(p.us + tonumber(ARGV[12]) * 1000, t.dl > 0 and t.dl * 1000 or math.huge))

local function record(state)
  local a = {
    'st', state, 'kd', kind, 'cl', ARGV[6], 'tn', tenant, 'w', ARGV[8], 'ord', t.ord, 'dl', int(t.dl),
    'fc', ARGV[10], 'at', 0, 'ls', 0, 'fv', 0, 'fb', -1, 'ow', p.owner, 't0', int(p.ms),
  }
  local n = #a
  for i, d in ipairs(p.dims) do
    if t.cost[i] ~= 0 then
      a[n + 1], a[n + 2] = 'c:' .. d.name, int(t.cost[i])
      n = n + 2
    end
  end
  for i = 15, #ARGV do
    n = n + 1
    a[n] = ARGV[i]
  end
  return a
end

-- The record and its place in the list come together: a failover keeps both or neither, and a list
-- that is read meanwhile finds no entry without a record, which it would take out.
local function store(fields)
  redis.call('HSET', key, unpack(fields))
  local order, ttl, most, group = string.match(ARGV[14] or '', '^(%d+) (%d+) (%d+) (%S*)$')
  if order then
    local jobs = p.pre .. 'jobs:' .. tenant
    redis.call('ZADD', jobs, 'NX', order, id)
    redis.call('ZREMRANGEBYRANK', jobs, 0, int(-tonumber(most) - 1))
    redis.call('PEXPIRE', jobs, ttl)
  end
  if order and group ~= '' then
    local open, counts = p.pre .. 'g:' .. group, p.pre .. 'gc:' .. group
    redis.call('ZADD', open, order, id)
    redis.call('HINCRBY', counts, 'total', 1)
    redis.call('HSETNX', counts, 't0', int(p.ms))
    redis.call('PEXPIRE', open, ttl)
    redis.call('PEXPIRE', counts, ttl)
    redis.call('HSET', key, 'gr', group)
  end
end

local known = redis.call('HMGET', key, 'st', 'at', 'seq')
local open_ms = circuit_wait(p) or 0
if (known[1] == 'queued' or known[1] == 'delayed') and open_ms > 0 and kind == 'call' then
  -- it waited when the circuit opened: its caller hears of it now, not at the end of its own patience
  if known[1] == 'queued' then
    unqueue(p, load_ticket(p, id))
  end
  redis.call('ZREM', p.pre .. 'delay', id)
  redis.call('DEL', key)
  save(p)
  return reply(p, {'circuit', p.ad.t[3], int(open_ms)})
end
if known[1] then
  return reply(p, {'known', known[1], known[2], known[3] or '0'})
end
local over = never_fits(p, t.cost)
if over then
  return reply(p, {'too_large', over.name, int(adapt_largest(over))})
end
local own = quota(p, tenant)
over = own and own_over(own, t.cost)
if over then
  return reply(p, {'too_large', 'tenant:' .. over.name, int(over.C)})
end
for i, d in ipairs(p.dims) do
  t.cost[i] = math.min(t.cost[i], d.C) -- a learned rate may be below what one request costs
end
if open_ms > 0 and kind ~= 'job' then
  return reply(p, {'circuit', p.ad.t[3], int(open_ms)})
end
if p.nq == 0 and open_ms == 0 and (t.dl == 0 or t.dl > p.ms) and check(p, t.cost) == 0 and not slots_full(p)
  and not (class == 2 and batch_full(p))
  and (not own or own_wait(p, own, t.cost) == 0) then
  -- the fast path: one read, one lease, one record, one write
  charge(p, t.cost)
  p.seq = p.seq + 1
  local a = record('running')
  a[18] = 1 -- at: the first fence
  local n = #a
  a[n + 1], a[n + 2], a[n + 3], a[n + 4] = 'seq', int(p.seq), 't1', int(p.ms)
  a[n + 5], a[n + 6] = 'x', charged(p)
  if own then
    own_charge(own, t.cost)
    a[n + 7], a[n + 8] = 'qr', 1
  end
  circuit_probe(p, id)
  store(a)
  take_slot(p, id, class, permit_lease(kind) or p.lease)
  if kind ~= 'job' then
    redis.call('PEXPIRE', key, 86400000)
  end
  save(p)
  return reply(p, {'granted', 1, p.seq})
end
if p.nq >= p.maxq then
  return reply(p, {'full', int(p.nq)})
end
if own and own.Q > 0 then
  local waiting = own_queued(p, tenant)
  if waiting >= own.Q then
    return reply(p, {'tenant_full', int(waiting), int(own.Q)})
  end
end
store(record('queued'))
if kind ~= 'job' then
  redis.call('PEXPIRE', key, 86400000)
  redis.call('ZADD', p.pre .. 'own', 'GT', int(p.ms + tonumber(ARGV[13])), p.owner)
end
enqueue(p, t)
dispatch(p)
local now = redis.call('HMGET', key, 'st', 'at', 'seq')
if now[1] == 'running' and p.grants[1] then
  -- its own turn came at once (it may pass a held head): told as a grant like any other
  save(p)
  return reply(p, {'queued', '0', '0', ''})
end
local eta, ahead, binding = eta_of(p, t)
if kind == 'job' and binding ~= '' then
  redis.call('HSET', key, 'bd', binding)
end
save(p)
return reply(p, {'queued', int(eta), int(ahead), binding})
