-- lib: what every script shares, after dim.lua, adapt.lua and tenant.lua.
--
-- The rules (refill, need, order, hold, bypass) are those of limiter/pool.h, word for word; this is
-- the copy that decides. All keys of a pool carry its hash tag, so one script may touch them all:
--
--   KEYS[1]  PREFIX .. 'b', PREFIX being 'sluice:{POOL}:'. The others are made from it here:
--   b        HASH  limits and state. cfg: what configure sets, as one JSON text that is decoded
--                  faster than its numbers are fetched one by one: K max_parallel, B permille of it for
--                  the class batch (0 all), beta, maxq,
--                  lease, losses, ttl (ms a finished ticket is kept), dim: for each dimension
--                  R P U C M F (r refund, k keep, a accrue), A: w a sliding window. State: nq tickets queued, seq of
--                  the last grant, svc mean ms of a running ticket, oq see
--                  learn_output(); for a dimension d: d:L
--                  level d:T d:W, of a window d:G: what was charged then or before is not in its
--                  log any more. dims: the names that are configured. ad, X: see adapt.lua
--   w:d      LIST  of a window: time, amount, time, amount … of its log, the oldest first
--   m        HASH  fair tags: v; v0 S0 F0 … for the classes 0-2; bp busy periods so far; bar 1: the
--                  class batch is out of the order;
--                  hold: h:id h:t h:u:d, of a window h:g:d, tokens that left it since
--   f        HASH  F:FLOW finish tags, w:FLOW weights, b:FLOW:d and b:FLOW:v queued cost.
--                  FLOW is 'CLASS:TENANT'. Deleted when the queue is empty.
--   q:CLASS  ZSET  tenant -> start tag, of flows with queued tickets
--   t:FLOW   ZSET  ticket -> order key, microseconds
--   lim      SET   tenants with limits of their own, and then tl in cfg
--   u:TENANT HASH  of such a tenant: cfg (JSON: K max_parallel, Q queued tickets, dim R C), run slots
--                  taken, d:L d:T of its buckets; they have the pool's P U F
--   pk       ZSET  FLOW -> ms when it comes back: not in q:CLASS, as its tenant's limits do not let it
--   delay    ZSET  ticket -> ms when its backoff ends
--   inf      ZSET  ticket -> ms when its lease ends; ZCARD is the slots in use
--   inb      SET   those of the class batch among them
--   chg:OWNER STRING number of the last charge of an instance (see charge.lua)
--   wh       ZSET  ticket that has ended and whose webhook event is still to be made -> ms
--   own      ZSET  instance -> ms until which it counts as alive; 'b:' instance -> the same by its
--                  heartbeats alone
--   j:ID     HASH  a ticket: st state, kd call|job|permit MS (a lease of its own, at whose end it
--                  has expired and is not queued again), cl tn w ord dl fc (fair cost), c:d cost,
--                  at fence, qr 1 while it counts in its tenant's run, ls leases lost, fv fair
--                  cost charged in busy period fb, ac 'otpm 200;…' charged beyond the cost
--                  (accrue.lua), ow owner, seq, x (see adapt.lua), t0 t1 t2 ms of
--                  submit, last grant, end; bd the limit that a job waited for at its submit; kt ms
--                  that a finished call is kept; wh there: its end is noted for a webhook event;
--                  hint what its answer moved; gr its group; bk what
--                  it may be joined by (ride.lua); rd 1 while it rides with another; other fields
--                  are the caller's, never read here
--   rid      SET   tickets that ride: their leases are in inf, but they take no slot
--   g:GROUP  ZSET  tickets of a group that have not ended -> order
--   gc:GROUP HASH  of a group: t0 ms of the first submit, total, t2 ms of the last end, and for each
--                  final state how many ended so. GROUP is made of its id and its tenant
--
-- ARGV begins with: owner (instance id), the most grants, dimensions as 'rpm,tpm'. A tenant is
-- given as LENGTH:NAME and treated as opaque. Times are ms unless they end in _us.
--
-- Every reply is
-- {{RESULT…}, wait, binding, {id, fence, seq, kind, …}, {remaining, full_in_ms, …}, nq, output}
-- with output as foreseen_output() says and the grants of jobs and of the caller's own calls; a granted call of another instance is
-- published to it: 'sluice:i:OWNER' gets 'grant ID FENCE SEQ PREFIX'. wait: 0 look again at once,
-- > 0 ms until a dispatch can do something, -1 nothing waits, -2 all slots are taken, -3 no turn was
-- taken: what was told before still stands.
--
-- Numbers: integers below 2^53 are exact. Never tostring() or '..' on one that may pass 10^14: Lua
-- prints %.14g. int() formats it whole. Redis 7.2 writes some numbers handed to redis.call() as
-- 1e+9, so only small ones and int() go there. A number in a reply is an integer for the caller.

-- CLOCK: the only reader of time; tests put another function in its place.
local function now_us()
  local t = redis.call('TIME')
  return t[1] * 1000000 + t[2]
end
-- END CLOCK

local CLASS_WEIGHT = {[0] = 16, 4, 1}
local MAX_SCAN = 16 -- flows looked at past a held head
local MAX_DROPS = 64 -- tickets past their deadline that one call takes out
local ETA_FLOWS = 64 -- flows that an ETA looks at
local PERMIT_KEPT = 3600000 -- ms that an ended permit can be looked at
local OWED_KEPT = 86400000 -- ms that an ended job is there at least until its webhook event is made
local POOL_TTL = 2592000000 -- 30 days without a heartbeat

-- nil when the pool was never configured or its data are gone: the caller configures it.
local function open_pool(owner, most, names)
  local key, want, dims, n = KEYS[1], {'cfg', 'nq', 'seq', 'svc'}, {}, 0
  for name in string.gmatch(names, '[^,]+') do
    n = n + 1
    dims[n] = name
    want[3 * n + 2], want[3 * n + 3], want[3 * n + 4] = name .. ':L', name .. ':T', name .. ':W'
  end
  want[#want + 1], want[#want + 2], want[#want + 3] = 'ad', 'X', 'oq'
  local v = redis.call('HMGET', key, unpack(want))
  if not v[1] then
    return nil
  end
  local p = cjson.decode(v[1])
  p.ad, p.X = cjson.decode(v[#want - 2] or '{}'), {}
  p.K0 = p.K
  p.K = slots_now(p)
  for x in string.gmatch(v[#want - 1] or '', '[^,]+') do
    p.X[#p.X + 1] = tonumber(x)
  end
  p.oq = v[#want]
  p.key, p.pre, p.owner, p.most = key, string.sub(key, 1, -2), owner, tonumber(most)
  p.grants, p.count, p.wait, p.binding = {}, 0, -3, ''
  p.us = now_us()
  p.ms = math.floor(p.us / 1000)
  p.nq, p.seq, p.svc = tonumber(v[2]), tonumber(v[3]), tonumber(v[4])
  p.dims = dims
  for i = 1, n do
    local d = p.dim[dims[i]]
    if not d then
      return nil
    end
    p.X[i] = p.X[i] or 0
    adapt_open(d, p.ad.d and p.ad.d[dims[i]])
    d.name, d.L, d.T, d.W = dims[i], tonumber(v[3 * i + 2]), tonumber(v[3 * i + 3]), tonumber(v[3 * i + 4])
    if d.A then
      d.key = p.pre .. 'w:' .. dims[i]
      open_window(d, p.ms)
    else
      refill(d, p.ms)
    end
    dims[i] = d
  end
  return p
end

local OUTPUT_TAU, OUTPUT_FIRST = 0.95, 512 -- as every instance begins by itself

-- Follows a high quantile of outputs, by the rules of limiter/quantile.h, for all instances: where
-- output is charged as it is produced, one that has seen few answers would reserve too little. oq is
-- 'LOG SAMPLES'. Floating point, unlike all else here: it is a guess, and nothing is charged by it.
local function learn_output(p, tokens)
  local log, n = string.match(p.oq or '', '^(%S+) (%d+)$')
  local sample = math.log(math.max(math.min(tokens, 1000000000000), 1))
  log, n = tonumber(log) or math.log(OUTPUT_FIRST), (tonumber(n) or 0) + 1
  local gamma = math.max(0.02, 0.5 / math.sqrt(n))
  log = math.max(log + gamma * (sample > log and OUTPUT_TAU or OUTPUT_TAU - 1), 0)
  p.oq = string.format('%.6f %d', log, n)
  redis.call('HSET', p.key, 'oq', p.oq)
end

-- What an answer will produce at most, probably; 0: nothing was learned.
local function foreseen_output(p)
  local log = string.match(p.oq or '', '^%S+')
  return log and math.floor(math.exp(tonumber(log)) + 0.5) or 0
end

local function no_pool()
  return redis.error_reply('NOPOOL this pool is not configured')
end

-- Cost vector from '1,500', in the order of the dimensions.
local function costs(text)
  local c = {}
  for n in string.gmatch(text, '[^,]+') do
    c[#c + 1] = tonumber(n)
  end
  return c
end

-- The longest wait of all dimensions and which one it is; 0 when the cost fits now.
local function check(p, cost)
  local wait, binding = 0, ''
  for i, d in ipairs(p.dims) do
    if cost[i] > 0 then
      local w = wait_level(p, d, need(d, cost[i]))
      if w > wait then
        wait, binding = w, d.name
      end
    end
  end
  return wait, binding
end

local function never_fits(p, cost)
  for i, d in ipairs(p.dims) do
    if cost[i] > adapt_largest(d) then
      return d
    end
  end
end

-- A capacity that was lowered cuts the cost of what waits, or it would hold the queue for ever.
local function cut_cost(p, t)
  for i, d in ipairs(p.dims) do
    if t.cost[i] > d.C then
      t.cost[i] = d.C
      redis.call('HSET', p.pre .. 'j:' .. t.id, 'c:' .. d.name, int(d.C))
    end
  end
end

local function charge(p, cost)
  for i, d in ipairs(p.dims) do
    if d.A and cost[i] > 0 then
      log_add(d, p.ms, cost[i])
    end
    d.L = d.L - cost[i] * d.P
    p.X[i] = p.X[i] + cost[i]
  end
end

-- The tokens charged so far, for a ticket to remember.
local function charged(p)
  local x = {}
  for i = 1, #p.dims do
    x[i] = int(p.X[i])
  end
  return table.concat(x, ',')
end

-- ---- tags and hold, read once and written once

local TAGS = {'bp', 'v', 'v0', 'S0', 'F0', 'v1', 'S1', 'F1', 'v2', 'S2', 'F2', 'h:t', 'bar'}

local function tags(p)
  if p.m then
    return p.m
  end
  local want = {unpack(TAGS)}
  for _, d in ipairs(p.dims) do
    want[#want + 1] = 'h:u:' .. d.name
    if d.A then
      want[#want + 1] = 'h:g:' .. d.name
    end
  end
  want[#want + 1] = 'h:id'
  local v = redis.call('HMGET', p.pre .. 'm', unpack(want))
  local m = {}
  for i, name in ipairs(want) do
    m[name] = tonumber(v[i]) -- '' (a class without queued tickets) reads as nil
  end
  m['h:id'] = v[#want] or ''
  for _, name in ipairs({'bp', 'v', 'v0', 'v1', 'v2', 'F0', 'F1', 'F2'}) do
    m[name] = m[name] or 0
  end
  for _, d in ipairs(p.dims) do
    if d.A then
      m['h:g:' .. d.name] = (m['h:g:' .. d.name] or 0) + d.left
    end
  end
  p.m = m
  return m
end

local function save(p)
  local a, n = {'nq', int(p.nq), 'seq', int(p.seq), 'svc', int(p.svc)}, 6
  for _, d in ipairs(p.dims) do
    a[n + 1], a[n + 2], a[n + 3], a[n + 4] = d.name .. ':L', int(d.L), d.name .. ':T', int(d.T)
    n = n + 4
    if d.A then
      pop_gone(p.key, d)
      if d.left > 0 and not p.m then
        redis.call('HINCRBY', p.pre .. 'm', 'h:g:' .. d.name, int(d.left))
      end
    end
  end
  a[n + 1], a[n + 2] = 'X', charged(p)
  if p.ad_moved then
    a[n + 3], a[n + 4] = 'ad', adapt_text(p)
  end
  redis.call('HSET', p.key, unpack(a))
  save_quotas(p)
  if not p.m then
    return
  end
  a = {'h:id', p.m['h:id']}
  for _, name in ipairs(TAGS) do
    a[#a + 1] = name
    a[#a + 1] = p.m[name] and int(p.m[name]) or ''
  end
  for _, d in ipairs(p.dims) do
    a[#a + 1] = 'h:u:' .. d.name
    a[#a + 1] = int(p.m['h:u:' .. d.name] or 0)
    if d.A then
      a[#a + 1] = 'h:g:' .. d.name
      a[#a + 1] = int(p.m['h:g:' .. d.name])
    end
  end
  redis.call('HSET', p.pre .. 'm', unpack(a))
end

-- ---- tickets

-- A ticket that goes to the provider inside another's request costs nothing of its own: its tokens
-- are charged to the other (ride.lua).
local function ride_free(p, t)
  t.full, t.cost = t.cost, {}
  for i = 1, #p.dims do
    t.cost[i] = 0
  end
end

local function take_slot(p, id, class, lease)
  redis.call('ZADD', p.pre .. 'inf', int(p.ms + lease), id)
  if class == 2 then
    redis.call('SADD', p.pre .. 'inb', id)
  end
end

local function free_slot(p, id)
  redis.call('ZREM', p.pre .. 'inf', id)
  redis.call('SREM', p.pre .. 'inb', id)
end

-- A ticket as a table; nil when its record is gone.
local function load_ticket(p, id)
  local want = {'st', 'kd', 'cl', 'tn', 'w', 'ord', 'dl', 'fc', 'at', 'ls', 'fv', 'fb', 'ow', 't1', 'qr', 'ac', 'rd', 'gr'}
  local head = #want
  for _, d in ipairs(p.dims) do
    want[#want + 1] = 'c:' .. d.name
  end
  local v = redis.call('HMGET', p.pre .. 'j:' .. id, unpack(want))
  if not v[1] then
    return nil
  end
  local t = {
    id = id, st = v[1], kd = v[2], cl = tonumber(v[3]), tn = v[4], w = tonumber(v[5]), ord = v[6],
    dl = tonumber(v[7]), fc = tonumber(v[8]), at = tonumber(v[9]), ls = tonumber(v[10]),
    fv = tonumber(v[11]), fb = tonumber(v[12]), ow = v[13], t1 = tonumber(v[14]) or 0, tr = v[15] == '1', cost = {},
  }
  t.flow = v[3] .. ':' .. v[4]
  for name, n in string.gmatch(v[16] or '', '([^ ;]+) (%d+)') do
    t.e = t.e or {}
    t.e[name] = tonumber(n)
  end
  t.gr = v[18] or nil
  for i = 1, #p.dims do
    t.cost[i] = tonumber(v[head + i] or '0')
  end
  if v[17] then
    ride_free(p, t)
  end
  return t
end

-- Takes a rider's mark away, as its grant ends: from now on it has its own cost again.
local function dismount(p, t)
  if not t.full then
    return
  end
  redis.call('HDEL', p.pre .. 'j:' .. t.id, 'rd')
  redis.call('SREM', p.pre .. 'rid', t.id)
  t.cost, t.full = t.full, nil
end

-- ms of a permit's own lease, by its kind; nil: no permit.
local function permit_lease(kind)
  return tonumber(string.match(kind, '^permit (%d+)$'))
end

-- Watchers of a durable job hear of every change of its state.
local function tell(p, id, kind, state)
  if kind == 'job' then
    redis.call('PUBLISH', 'sluice:events', id .. ' ' .. state)
  end
end

-- One of a group has ended. The counts change in the script that changes the state, so that no
-- crash parts them; they are kept as long as the ended jobs, once all have ended.
local function leave_group(p, t, state)
  local open, counts = p.pre .. 'g:' .. t.gr, p.pre .. 'gc:' .. t.gr
  if redis.call('ZREM', open, t.id) == 0 then
    return
  end
  redis.call('HINCRBY', counts, state, 1)
  redis.call('HSET', counts, 't2', int(p.ms))
  if redis.call('EXISTS', open) == 0 then
    redis.call('PEXPIRE', counts, int(p.ttl))
  end
end

local function finish(p, t, state)
  local key = p.pre .. 'j:' .. t.id
  redis.call('HSET', key, 'st', state, 't2', int(p.ms))
  local ttl = p.ttl
  if permit_lease(t.kd) then
    ttl = PERMIT_KEPT
  elseif t.kd == 'call' then
    ttl = math.min(ttl, tonumber(redis.call('HGET', key, 'kt') or '300000'))
  elseif t.kd == 'job' and redis.call('HEXISTS', key, 'wh') == 1 then
    -- in the same step as the end, or a crash after it would lose the event
    ttl = math.max(ttl, OWED_KEPT)
    redis.call('ZADD', p.pre .. 'wh', int(p.ms), t.id)
    redis.call('PEXPIRE', p.pre .. 'wh', POOL_TTL) -- of a pool that nobody looks after any more
    redis.call('PUBLISH', 'sluice:webhooks', t.id)
  end
  redis.call('PEXPIRE', key, int(ttl))
  if t.gr then
    leave_group(p, t, state)
  end
  tell(p, t.id, t.kd, state)
end

-- It waits again: what it is granted next has accrued nothing.
local function forget_accrued(p, t)
  if t.e then
    redis.call('HDEL', p.pre .. 'j:' .. t.id, 'ac')
  end
end

local function add_backlog(p, t, sign)
  local f = p.pre .. 'f'
  redis.call('HINCRBY', f, 'b:' .. t.flow .. ':v', int(sign * t.fc))
  for i, d in ipairs(p.dims) do
    if t.cost[i] ~= 0 then
      redis.call('HINCRBY', f, 'b:' .. t.flow .. ':' .. d.name, int(sign * t.cost[i]))
    end
  end
end

-- A flow comes into the order, as one that was empty.
local function come_in(p, class, tenant)
  local m, F = tags(p), tonumber(redis.call('HGET', p.pre .. 'f', 'F:' .. class .. ':' .. tenant) or '0')
  redis.call('ZADD', p.pre .. 'q:' .. class, int(math.max(m['v' .. class], F)), tenant)
  if not m['S' .. class] then
    m['S' .. class] = math.max(m.v, m['F' .. class])
  end
end

local function enqueue(p, t)
  local q = p.pre .. 'q:' .. t.cl
  redis.call('ZADD', p.pre .. 't:' .. t.flow, t.ord, t.id)
  if p.tl and redis.call('ZSCORE', p.pre .. 'pk', t.flow) then
    if redis.call('ZRANK', p.pre .. 't:' .. t.flow, t.id) == 0 then
      redis.call('ZADD', p.pre .. 'pk', 0, t.flow)
    end
  elseif not redis.call('ZSCORE', q, t.tn) then
    come_in(p, t.cl, t.tn)
    redis.call('HSET', p.pre .. 'f', 'w:' .. t.flow, int(t.w))
  end
  add_backlog(p, t, 1)
  p.nq = p.nq + 1
end

-- The last queued ticket left: every tag is 0 again, and old shares are forgotten.
local function end_busy(p)
  local m = tags(p)
  for _, name in ipairs({'v', 'v0', 'v1', 'v2', 'F0', 'F1', 'F2'}) do
    m[name] = 0
  end
  m.S0, m.S1, m.S2, m['h:id'] = nil, nil, nil, ''
  m.bp = m.bp + 1
  redis.call('DEL', p.pre .. 'f')
end

-- Takes an empty flow out of the order, and its class when it was the last.
local function close_flow(p, class, tenant)
  local q = p.pre .. 'q:' .. class
  redis.call('ZREM', q, tenant)
  if redis.call('EXISTS', q) == 0 then
    tags(p)['S' .. class] = nil
  end
end

local function unqueue(p, t)
  local flow = p.pre .. 't:' .. t.flow
  if redis.call('ZREM', flow, t.id) == 0 then
    return
  end
  p.nq = p.nq - 1
  if redis.call('EXISTS', flow) == 1 then
    if p.tl then
      redis.call('ZADD', p.pre .. 'pk', 'XX', 0, t.flow)
    end
  elseif not p.tl or redis.call('ZREM', p.pre .. 'pk', t.flow) == 0 then
    close_flow(p, t.cl, t.tn)
  end
  add_backlog(p, t, -1)
  if tags(p)['h:id'] == t.id then
    tags(p)['h:id'] = ''
  end
  if p.nq == 0 then
    end_busy(p)
  end
end

local function alive(p, owner)
  p.alive = p.alive or {}
  if p.alive[owner] == nil then
    local till = redis.call('ZSCORE', p.pre .. 'own', owner)
    p.alive[owner] = owner == p.owner or (till and tonumber(till) > p.ms) or false
  end
  return p.alive[owner]
end

-- Whether its tenant's own limits let t run; its flow is parked when they do not.
local function own_lets(p, t)
  local q = quota(p, t.tn)
  local wait = q and own_wait(p, q, t.cost) or 0
  if wait == 0 then
    return true
  end
  local at = wait == NEVER and NEVER or p.ms + wait
  at = t.dl > 0 and math.min(at, t.dl) or at
  close_flow(p, t.cl, t.tn)
  redis.call('ZADD', p.pre .. 'pk', int(at), t.flow)
  p.drops = p.drops + 1
  return false
end

-- The first live ticket of a flow; those that are past their deadline, or wait for a dead
-- instance, leave on the way. nil when the flow has none, was parked, or too many were dropped.
local function first_of(p, class, tenant)
  local flow = class .. ':' .. tenant
  p.drops = p.drops or 0
  while p.drops < MAX_DROPS do
    local id = redis.call('ZRANGE', p.pre .. 't:' .. flow, 0, 0)[1]
    if not id then
      close_flow(p, class, tenant)
      return nil
    end
    local t = load_ticket(p, id)
    if t and t.st == 'queued' then
      local late = t.dl > 0 and t.dl <= p.ms
      if not late and (t.kd == 'job' or alive(p, t.ow)) then
        cut_cost(p, t)
        return own_lets(p, t) and t or nil
      end
      unqueue(p, t)
      finish(p, t, late and 'expired' or 'cancelled')
    else
      unqueue(p, {id = id, flow = flow, cl = class, tn = tenant, fc = 0, cost = {0, 0, 0, 0, 0, 0, 0, 0}})
    end
    p.drops = p.drops + 1
  end
end
