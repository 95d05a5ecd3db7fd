-- webhook: the outbox of events, over all instances. All its keys are in one slot:
--
--   KEYS[1]    ZSET endpoint -> ms when it may have work; its name is PREFIX .. 'ends', and the
--              others are made of PREFIX here
--   q:ENDPOINT ZSET delivery -> ms when it is due; of one on its way: when its lease ends
--   r:ENDPOINT ZSET delivery on its way -> ms when its lease ends
--   d:ID       HASH of a delivery: tn tenant, ty type, ob id of the object, ur URL, ep endpoint, pl
--              payload, cr created (µs), st waiting|delivered|failed, n attempts ever, k attempts of
--              this round, nx ms of the next one, en ms of the end, lg attempts as lines of JSON
--   n          HASH counters: delivered, failed, attempts (that failed), dropped
--   i:T:STATUS ZSET delivery -> created (µs); T: the tenant, as LENGTH:NAME, and '*' for all; STATUS
--              as st, and 'all'
--
-- A delivery on its way stays in its queue under the end of its lease, so that one whose instance
-- died is due again by itself. An endpoint with all its places taken is not looked at before one
-- ends, so its queue, however long, is not in the way of another's.
--
-- ARGV: what, most places of an endpoint, then
--   add        id, tenant, type, object, url, endpoint, payload, created µs, most waiting
--              -> 'added', 'known' (it stood there already), 'full'
--   take       room, lease ms, most attempts of a round, ms that what ended is kept, most of a
--              tenant's that ended
--              -> {ms until something is due (-1: nothing), {all that wait, delivered, failed,
--              failed attempts, dropped}, {id, n, k, tenant, type,
--              object, url, endpoint, payload} …}
--   settle     id, n, state (waiting|delivered|failed), delay ms, attempt (JSON), ms kept, most
--              -> 'settled', 'stale'
--   redeliver  id, tenant ('': of any), ms kept, most -> 'queued', 'none'

local MOST_LINES = 20 -- attempts that a delivery remembers
local MOST_ENDS = 64 -- endpoints that one take looks at
local MOST_ALL = 100000 -- deliveries that the list of all tenants remembers
local pre = string.sub(KEYS[1], 1, -5)
local ms = math.floor(now_us() / 1000)
local what, places = ARGV[1], tonumber(ARGV[2])

local function set_end(e)
  local q, r = pre .. 'q:' .. e, pre .. 'r:' .. e
  local first = redis.call('ZRANGE', q, 0, 0, 'WITHSCORES')
  if not first[1] then
    redis.call('DEL', r)
    redis.call('ZREM', KEYS[1], e)
    return
  end
  local at = tonumber(first[2])
  redis.call('ZREMRANGEBYSCORE', r, '-inf', int(ms))
  if redis.call('ZCARD', r) >= places then
    at = math.max(at, tonumber(redis.call('ZRANGE', r, 0, 0, 'WITHSCORES')[2]))
  end
  redis.call('ZADD', KEYS[1], int(at), e)
end

local function list(scope, status)
  return pre .. 'i:' .. scope .. ':' .. status
end

local function forget(id, tenant, with_record)
  for _, status in ipairs({'all', 'waiting', 'delivered', 'failed'}) do
    redis.call('ZREM', list(tenant, status), id)
    redis.call('ZREM', list('*', status), id)
  end
  if with_record then
    redis.call('DEL', pre .. 'd:' .. id)
  end
end

-- What has ended goes by its record's TTL, and the oldest before that when there are too many. An
-- entry without a record is taken out when it is as old as no record can be.
local function trim(tenant, status, kept, most)
  local key = list(tenant, status)
  local old = int((ms - kept - 7 * 86400000) * 1000)
  redis.call('ZREMRANGEBYSCORE', key, '-inf', old)
  for _, scope in ipairs({tenant, '*'}) do
    local ids = redis.call('ZRANGEBYSCORE', list(scope, 'all'), '-inf', old, 'LIMIT', 0, 100)
    for _, id in ipairs(ids) do
      if redis.call('EXISTS', pre .. 'd:' .. id) == 0 then
        redis.call('ZREM', list(scope, 'all'), id)
      end
    end
  end
  redis.call('ZREMRANGEBYSCORE', list('*', status), '-inf', old)
  local over = math.min(redis.call('ZCARD', key) - most, 10)
  if over > 0 then
    for _, id in ipairs(redis.call('ZRANGE', key, 0, over - 1)) do
      forget(id, tenant, true)
    end
  end
  for _, of in ipairs({status, 'all'}) do
    redis.call('ZREMRANGEBYRANK', list('*', of), 0, int(-MOST_ALL - 1))
  end
end

local function move(id, from, to)
  local v = redis.call('HMGET', pre .. 'd:' .. id, 'tn', 'cr')
  for _, scope in ipairs({v[1], '*'}) do
    redis.call('ZREM', list(scope, from), id)
    redis.call('ZADD', list(scope, to), v[2], id)
  end
  return v[1]
end

local function count(name)
  redis.call('HINCRBY', pre .. 'n', name, 1)
end

local function finish(id, e, state, kept, most)
  count(state)
  redis.call('ZREM', pre .. 'q:' .. e, id)
  redis.call('HSET', pre .. 'd:' .. id, 'st', state, 'en', int(ms))
  redis.call('PEXPIRE', pre .. 'd:' .. id, int(kept))
  trim(move(id, 'waiting', state), state, kept, most)
end

local ops = {}

function ops.add(id, tenant, kind, object, url, e, payload, created, most)
  local key = pre .. 'd:' .. id
  if redis.call('EXISTS', key) == 1 then
    return 'known'
  end
  if redis.call('ZCARD', list(tenant, 'waiting')) >= tonumber(most) then
    count('dropped')
    return 'full'
  end
  redis.call('HSET', key, 'tn', tenant, 'ty', kind, 'ob', object, 'ur', url, 'ep', e, 'pl', payload,
    'cr', created, 'st', 'waiting', 'n', 0, 'k', 0, 'nx', int(ms))
  for _, scope in ipairs({tenant, '*'}) do
    redis.call('ZADD', list(scope, 'all'), created, id)
    redis.call('ZADD', list(scope, 'waiting'), created, id)
  end
  redis.call('ZADD', pre .. 'q:' .. e, int(ms), id)
  set_end(e)
  return 'added'
end

-- The next delivery of an endpoint as take answers it; nil: none is due or no place is free; false:
-- one was taken out, look again.
local function take_one(e, lease, tries, kept, most)
  local q, r = pre .. 'q:' .. e, pre .. 'r:' .. e
  if redis.call('ZCARD', r) >= places then
    return nil
  end
  local id = redis.call('ZRANGEBYSCORE', q, '-inf', int(ms), 'LIMIT', 0, 1)[1]
  if not id then
    return nil
  end
  local key = pre .. 'd:' .. id
  local v = redis.call('HMGET', key, 'k', 'tn', 'ty', 'ob', 'ur', 'pl')
  if not v[1] then
    redis.call('ZREM', q, id)
    return false
  end
  if tonumber(v[1]) >= tries then
    finish(id, e, 'failed', kept, most) -- its last instances died over it
    return false
  end
  local k, n = redis.call('HINCRBY', key, 'k', 1), redis.call('HINCRBY', key, 'n', 1)
  redis.call('ZADD', q, int(ms + lease), id)
  redis.call('ZADD', r, int(ms + lease), id)
  return {id, n, k, v[2], v[3], v[4], v[5], e, v[6]}
end

function ops.take(room, lease, tries, kept, most)
  local out, left = {-1, {}}, tonumber(room)
  lease, tries, kept, most = tonumber(lease), tonumber(tries), tonumber(kept), tonumber(most)
  for _, e in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', int(ms), 'LIMIT', 0, MOST_ENDS)) do
    redis.call('ZREMRANGEBYSCORE', pre .. 'r:' .. e, '-inf', int(ms))
    while left > 0 do
      local one = take_one(e, lease, tries, kept, most)
      if one == nil then
        break
      elseif one then
        out[#out + 1], left = one, left - 1
      end
    end
    set_end(e)
  end
  local first = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
  if first[2] then
    out[1] = math.max(tonumber(first[2]) - ms, 0)
  end
  local n = redis.call('HMGET', pre .. 'n', 'delivered', 'failed', 'attempts', 'dropped')
  out[2] = {redis.call('ZCARD', list('*', 'waiting')), n[1] or '0', n[2] or '0', n[3] or '0', n[4] or '0'}
  return out
end

local function add_line(key, line)
  local lines = {}
  for old in string.gmatch(redis.call('HGET', key, 'lg') or '', '[^\n]+') do
    lines[#lines + 1] = old
  end
  lines[#lines + 1] = line
  redis.call('HSET', key, 'lg', table.concat(lines, '\n', math.max(#lines - MOST_LINES + 1, 1)))
end

function ops.settle(id, n, state, delay, line, kept, most)
  local key = pre .. 'd:' .. id
  local v = redis.call('HMGET', key, 'n', 'st', 'ep')
  if v[1] ~= n or v[2] ~= 'waiting' then
    return 'stale'
  end
  add_line(key, line)
  if state ~= 'delivered' then
    count('attempts')
  end
  redis.call('ZREM', pre .. 'r:' .. v[3], id)
  if state == 'waiting' then
    redis.call('ZADD', pre .. 'q:' .. v[3], int(ms + tonumber(delay)), id)
    redis.call('HSET', key, 'nx', int(ms + tonumber(delay)))
  else
    finish(id, v[3], state, tonumber(kept), tonumber(most))
  end
  set_end(v[3])
  return 'settled'
end

function ops.redeliver(id, tenant)
  local key = pre .. 'd:' .. id
  local v = redis.call('HMGET', key, 'st', 'ep', 'tn')
  if not v[1] or (tenant ~= '' and v[3] ~= tenant) then
    return 'none'
  end
  if v[1] ~= 'waiting' then
    redis.call('PERSIST', key)
    move(id, v[1], 'waiting')
    redis.call('HSET', key, 'st', 'waiting')
    redis.call('HDEL', key, 'en')
  end
  redis.call('HSET', key, 'k', 0, 'nx', int(ms))
  if not redis.call('ZSCORE', pre .. 'r:' .. v[2], id) then
    redis.call('ZADD', pre .. 'q:' .. v[2], int(ms), id)
  end
  set_end(v[2])
  return 'queued'
end

return ops[what](unpack(ARGV, 3))
