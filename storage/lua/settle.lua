-- settle: a granted ticket ends, once. Corrects the charge, frees the slot, grants what fits now.
-- ARGV: owner, most, dims, id, fence, state (done|failed|cancelled, or queued: again at its old place),
--       delay ms (with queued), sent (0: the provider never saw it, all comes back), actual costs
--       '1,480' (-1 unknown), fair actual (-1 unknown), news ('' or 'pause tpm 1500;limit rpm 60 59 0 0':
--       what the answer told, see adapt.lua), then fields of the record: name value …
-- RESULT: {'settled', state, what moved (for people)} or {'stale', state}: it does not run under this
--         fence, nothing was corrected

local p = open_pool(ARGV[1], ARGV[2], ARGV[3])
if not p then
  return no_pool()
end
local t = load_ticket(p, ARGV[4])
if not t or t.st ~= 'running' or t.at ~= tonumber(ARGV[5]) then
  dispatch(p)
  save(p)
  return reply(p, {'stale', t and t.st or 'none'})
end
local state, unsent, actual, fair = ARGV[6], ARGV[8] == '0', costs(ARGV[9]), tonumber(ARGV[10])
adapt_told(p, t, ARGV[11])
local spent, output = {}, nil
for i, d in ipairs(p.dims) do
  local a = unsent and 0 or actual[i]
  local charged = t.cost[i] + (t.e and t.e[d.name] or 0)
  spent[i] = a >= 0 and a or charged
  if d.F == 'a' and a >= 0 then
    output = a
  end
  if a >= 0 then
    settle_dim(p, d, t, t.cost[i], a, unsent)
    if a > charged or unsent or d.F ~= 'k' then
      p.X[i] = p.X[i] + a - charged
    end
  end
end
end_own(p, t, actual, unsent)
if output and state == 'done' and not unsent then
  learn_output(p, output)
end
local moves = adapt_done(p, spent)
if t.fv > 0 and t.fb == tags(p).bp and (unsent or fair >= 0) then
  move_tags(p, t, (unsent and 0 or fair) - t.fv)
end
dismount(p, t)
free_slot(p, t.id)
p.svc = p.svc + math.floor((math.max(p.ms - t.t1, 0) - p.svc) / 16)

local key = p.pre .. 'j:' .. t.id
if #ARGV > 11 then
  redis.call('HSET', key, unpack(ARGV, 12))
end
if moves ~= '' then
  redis.call('HSET', key, 'hint', moves)
end
local cancelled = state == 'queued' and redis.call('HEXISTS', key, 'cancel') == 1
if cancelled then
  state = 'cancelled'
end
if state == 'queued' and t.kd == 'call' then
  -- granted at once, it may be the first that the pool hears of its owner: it waits for one that lives
  redis.call('ZADD', p.pre .. 'own', 'GT', int(p.ms + 2 * p.lease), p.owner)
end
forget_accrued(p, t)
if state ~= 'queued' then
  finish(p, t, state)
elseif tonumber(ARGV[7]) > 0 then
  redis.call('HSET', key, 'st', 'delayed')
  redis.call('ZADD', p.pre .. 'delay', int(p.ms + tonumber(ARGV[7])), t.id)
  tell(p, t.id, t.kd, 'retrying')
else
  redis.call('HSET', key, 'st', 'queued')
  enqueue(p, t)
  tell(p, t.id, t.kd, 'queued')
end
dispatch(p)
save(p)
return reply(p, {'settled', state, moves})
