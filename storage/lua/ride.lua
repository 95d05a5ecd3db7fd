-- ride: takes waiting jobs along with one that runs: they are sent to the provider inside its request.
-- A rider is granted as any job, with a lease and a fence of its own, so that it ends or comes back
-- by itself whatever becomes of the others. It is charged its tokens, but no request and no slot.
-- Only jobs of the same flow ride, and as far as their tokens delay nobody who is held at the head.
-- ARGV: owner, most (0), dims, id and fence of the one that runs, bk (what they are joined by), how
--       many at most
-- RESULT: {'ok', how many} or {'stale', state}

local SCAN = 256 -- tickets of the flow that are looked at

local p = open_pool(ARGV[1], ARGV[2], ARGV[3])
if not p then
  return no_pool()
end
local lead = load_ticket(p, ARGV[4])
if not lead or lead.st ~= 'running' or lead.at ~= tonumber(ARGV[5]) then
  return reply(p, {'stale', lead and lead.st or 'none'})
end
local flow, left, taken = p.pre .. 't:' .. lead.flow, tonumber(ARGV[7]), 0

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

local function ride(t)
  charge(p, t.cost)
  take_out(t)
  start(p, t, true)
  redis.call('HSET', p.pre .. 'j:' .. t.id, 'rd', 1)
  redis.call('SADD', p.pre .. 'rid', t.id)
  redis.call('SREM', p.pre .. 'inb', t.id)
  local q = quota(p, t.tn)
  if q then
    q.run = q.run - 1
  end
end

for _, id in ipairs(circuit_wait(p) and {} or redis.call('ZRANGE', flow, 0, SCAN - 1)) do
  if left == 0 then
    break
  end
  if redis.call('HGET', p.pre .. 'j:' .. id, 'bk') == ARGV[6] then
    local t = load_ticket(p, id)
    if t.st == 'queued' and t.kd == 'job' and (t.dl == 0 or t.dl > p.ms) then
      ride_free(p, t)
      if fits(t) then
        ride(t)
        left, taken = left - 1, taken + 1
      end
    end
  end
end
save(p)
return reply(p, {'ok', taken})
