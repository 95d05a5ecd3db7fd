-- adapt: limits that follow the provider; the first part of every script. The arithmetic is that of
-- limiter/adapt.h, word for word; this is the copy that decides.
--
-- The field 'ad' of the pool's hash holds what was learned, as one JSON text; it is missing while
-- nothing was:
--   d  for each dimension [told, told_ms, rate, ceiling, former, cut_seq, cut_ms, grown_ms,
--      refused_ms, seen_seq, above, ramped, streak, passed]
--   k  slots [limit, top, cut_seq, good]
--   t  circuit [until ms, times it opened in a row, what the provider said, ticket of the probe].
--      Open until that time; then one ticket is let through, and until is the time after which
--      another may be. Missing: closed
-- The field 'X' holds the tokens charged so far less what came back, '123,45' in the order of the
-- dimensions; a ticket keeps what it was at its grant as 'x'.
--
-- Of a dimension d, R C M are what holds now, R0 C0 M0 what is configured; p.K and p.K0 likewise.

local UNITS = 4503599627370496 -- 2^52
local AD = {'told', 'told_ms', 'rate', 'ceiling', 'former', 'cut_seq', 'cut_ms', 'grown_ms',
  'refused_ms', 'seen_seq', 'above', 'ramped', 'streak', 'passed'}
local CIRCUIT_FIRST, CIRCUIT_MOST, PROBE_MS = 300000, 900000, 60000
local OWNERS = 256 -- instances that are told when it opens, twice counted
local floor, min, max = math.floor, math.min, math.max

local function capacity_at(d, rate)
  if rate == d.R0 then
    return d.C0
  elseif d.C0 == d.R0 then
    return rate
  end
  return max(floor(d.C0 * floor(rate * 1000 / d.R0) / 1000), 1)
end

local function told_rate(d)
  local told = d.ad.told
  return told > 0 and told < d.R0 and told or d.R0
end

-- Sets what holds now; the level is cut only where cut is given.
local function adapt_apply(d, cut)
  local R = told_rate(d)
  if d.ad.rate > 0 and d.ad.rate < R then
    R = d.ad.rate
  end
  local before = d.C
  d.R, d.C = R, capacity_at(d, R)
  d.M = R == d.R0 and d.M0 or min(d.M0, floor(d.C * d.P / 20))
  if cut and d.A then
    d.L = d.L + (d.C - before) * d.P -- its log stays as it is
  elseif cut then
    d.L = min(d.L, d.C * d.P)
  end
end

-- A dimension as it was decoded gets what was learned of it. row may be nil.
local function adapt_open(d, row)
  if not row then
    return
  end
  d.R0, d.C0, d.M0, d.ad = d.R, d.C, d.M, {}
  for i, name in ipairs(AD) do
    d.ad[name] = row[i]
  end
  adapt_apply(d)
end

local function adapt_of(p, d)
  if not d.ad then
    adapt_open(d, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
  end
  p.ad_moved = true
  return d.ad
end

-- The most that one request may cost: a told limit bounds it, a learned rate does not.
local function adapt_largest(d)
  return d.ad and capacity_at(d, told_rate(d)) or d.C
end

local function adapt_text(p)
  local rows = {}
  for name, row in pairs(p.ad and p.ad.d or {}) do
    rows[name] = row -- of dimensions that are not configured now
  end
  for _, d in ipairs(p.dims) do
    if d.ad then
      local row = {}
      for i, name in ipairs(AD) do
        row[i] = d.ad[name]
      end
      rows[d.name] = row
    end
  end
  local parts = {}
  for name, row in pairs(rows) do
    local words = {}
    for i = 1, #AD do
      words[i] = string.format('%d', row[i])
    end
    parts[#parts + 1] = '"' .. name .. '":[' .. table.concat(words, ',') .. ']'
  end
  local text = '{"d":{' .. table.concat(parts, ',') .. '}'
  local k, t = p.ad and p.ad.k, p.ad and p.ad.t
  if k then
    text = text .. string.format(',"k":[%d,%d,%d,%d]', k[1], k[2], k[3], k[4])
  end
  if t then
    text = text .. string.format(',"t":[%d,%d,%s,%s]', t[1], t[2], cjson.encode(t[3]), cjson.encode(t[4]))
  end
  return text .. '}'
end

-- ---- the arithmetic of limiter/adapt.c

local function adapt_resync(p, d, news)
  local ad = d.ad
  local ticks, largest = floor((p.ms - news.granted_ms) / d.U), floor(UNITS / d.P)
  if p.ms < news.granted_ms or ticks > d.P then
    return
  end
  local remaining = min(news.remaining, largest) - min(news.debt, largest) - floor(news.grain / 2)
  local charged = max(min(news.charged, largest), -largest)
  local seen, full = remaining * d.P + d.R * ticks, d.C * d.P
  local high = min(seen - charged * d.P, full)
  local low = min(seen, full) - max(charged, 0) * d.P
  if high < d.L and d.A then
    log_extra(d, p.ms, math.ceil((d.L - high) / d.P)) -- others use the limit too
  elseif high < d.L then
    d.L = max(high, -UNITS)
  end
  if low <= d.L or ad.told > d.R0 then
    ad.above = 0
    return
  end
  ad.above = ad.above + 1
  if ad.above < 3 or p.ms - ad.refused_ms < 60000 then
    return
  end
  ad.above = 0
  if not d.A then -- what a log holds was granted: it leaves when it leaves
    d.L = d.L + floor((low - d.L) / 4)
  end
end

local function adapt_hint(p, d, news)
  local ad = adapt_of(p, d)
  if news.seq <= ad.seen_seq then
    return
  end
  ad.seen_seq = news.seq
  if news.limit > 0 then
    ad.told, ad.told_ms = news.limit, p.ms
    if ad.ramped == 0 then
      ad.rate, ad.ceiling, ad.former, ad.streak = 0, 0, 0, 0
    end
    adapt_apply(d, true)
  end
  if news.remaining >= 0 then
    adapt_resync(p, d, news)
  end
end

local function is_near(rate, ceiling, part)
  return ceiling > 0 and math.abs(rate - ceiling) * part <= ceiling
end

local function adapt_measured(p, d)
  local ad = d.ad
  local ticks = floor((p.ms - ad.cut_ms) / d.U)
  if ad.cut_ms == 0 or p.ms - ad.cut_ms < 2000 or ticks < 1 then
    return 0
  end
  return floor(min(ad.passed, floor(UNITS / d.P)) * d.P / ticks)
end

local function adapt_cut(p, d, ramp)
  if ramp then
    return floor(d.R / 2)
  end
  local seen = floor(adapt_measured(p, d) * 97 / 100)
  if seen > 0 then
    return min(max(seen, floor(d.R * 8 / 10)), floor(d.R * 95 / 100))
  end
  return floor(is_near(d.R, d.ad.ceiling, 10) and d.R * 95 / 100 or d.R * 8 / 10)
end

-- A request came back that was charged before others were granted: what their snapshots are compared
-- with counts it as room. Nothing is raised for as long as after a refusal.
local function adapt_distrust(p, d)
  local ad = adapt_of(p, d)
  ad.refused_ms, ad.above = p.ms, 0
end

local function adapt_refused(p, d, ramp, seq)
  local ad = adapt_of(p, d)
  local is_told = ad.told > 0 and p.ms - ad.told_ms < 60000
  ad.refused_ms, ad.above = p.ms, 0
  if not d.A then -- a window would be shut for a whole period; its rate is cut below, and it is paused
    d.L = min(d.L, 0)
  end
  if (is_told and not ramp) or seq <= ad.cut_seq then
    return
  end
  local next_rate = adapt_cut(p, d, ramp)
  local is_confirmed = is_near(d.R, ad.ceiling, 10)
  ad.ceiling = d.R
  if is_confirmed and ad.ceiling * 20 >= ad.former * 19 then
    ad.former = ad.ceiling
  end
  ad.rate = max(next_rate, floor(d.R0 / 10), 1)
  ad.ramped = ramp and 1 or ad.ramped
  ad.cut_seq, ad.cut_ms, ad.grown_ms, ad.streak, ad.passed = p.seq, p.ms, p.ms, 0, 0
  adapt_apply(d, true)
end

local function adapt_step(d)
  local ad = d.ad
  local is_back = ad.rate * 10 >= ad.former * 9 and ad.rate * 4 <= ad.former * 5
    and not is_near(ad.former, ad.ceiling, 10)
  local is_far = ad.rate > ad.ceiling and not is_near(ad.rate, ad.ceiling, 20)
  if ad.ramped > 0 then
    return floor(ad.rate * 45 / 10000)
  elseif is_back or not is_far or ad.rate > ad.former then
    ad.streak = 0
    local is_past = ad.rate * 20 > ad.former * 21
    return floor(is_back and ad.rate * (is_past and 50 or 15) / 10000 or ad.rate / 100)
  end
  ad.streak = min(ad.streak + 1, 6)
  return floor(d.R0 * (10 + 5 * ad.streak) / 1000)
end

local function adapt_passed(p, d, tokens)
  local ad = d.ad
  if not ad or ad.rate == 0 then
    return
  end
  p.ad_moved = true
  ad.passed = min(ad.passed + tokens, floor(UNITS / d.P))
  if p.ms - ad.grown_ms < 10000 or p.ms - ad.refused_ms < 10000 or d.L > floor(d.C * d.P / 2) then
    return
  end
  local step = adapt_step(d)
  ad.grown_ms = p.ms
  ad.rate = ad.rate + max(step, 1)
  if ad.rate >= d.R0 then
    ad.rate, ad.ceiling, ad.former, ad.ramped, ad.streak, ad.passed = 0, 0, 0, 0, 0, 0
  end
  adapt_apply(d, true)
end

-- ---- slots

local function slots_now(p)
  local k = p.ad.k and p.ad.k[1] or 0
  if k == 0 then
    return p.K0
  end
  return p.K0 > 0 and min(k, p.K0) or k
end

local function slots_overload(p, running, seq)
  local k, base = p.ad.k or {0, 0, 0, 0}, p.K0
  if seq <= k[3] then
    return
  end
  local now = slots_now(p)
  now = now > 0 and now or running
  p.ad.k = {max(floor(now * 7 / 10), 1), base > 0 and base or max(k[2], 2 * now), p.seq, 0}
  p.K, p.ad_moved = slots_now(p), true
end

local function slots_good(p, running)
  local k = p.ad.k
  if not k or k[1] == 0 or running * 2 < k[1] then
    return
  end
  p.ad_moved = true
  k[4] = k[4] + 1
  if k[4] < k[1] then
    return
  end
  k[4], k[1] = 0, k[1] + 1
  if k[1] >= (p.K0 > 0 and p.K0 or k[2]) then
    k[1], k[2] = 0, 0
  end
  p.K = slots_now(p)
end

-- ---- circuit

-- ms until a ticket may be let through; nil while the circuit is closed.
local function circuit_wait(p)
  local t = p.ad.t
  return t and max(t[1] - p.ms, 0)
end

-- The provider says that there is no money. Tried again after 5, 10, 15, 15 … minutes, or sooner when
-- it tells so; never later, for an account may be topped up at any time.
local function circuit_open(p, id, why, wait_ms)
  local times = (p.ad.t and p.ad.t[2] or 0) + 1
  if p.ad.t and p.ad.t[4] ~= id then
    return -- one of those that were on their way
  end
  local wait = min(CIRCUIT_FIRST * times, CIRCUIT_MOST)
  if wait_ms >= 0 then
    wait = max(min(wait, wait_ms), 1000)
  end
  p.ad.t, p.ad_moved = {p.ms + wait, times, why, ''}, true
  -- calls that wait are told by their instances, each of which asks for its own again
  if p.nq > 0 then
    for _, owner in ipairs(redis.call('ZRANGEBYSCORE', p.pre .. 'own', int(p.ms), '+inf', 'LIMIT', 0, OWNERS)) do
      if string.sub(owner, 1, 2) ~= 'b:' then
        redis.call('PUBLISH', 'sluice:i:' .. owner, 'circuit ' .. id .. ' 0 0 ' .. p.pre)
      end
    end
  end
end

-- A ticket is let through an open circuit whose time has come.
local function circuit_probe(p, id)
  local t = p.ad.t
  if t then
    t[1], t[4], p.ad_moved = p.ms + PROBE_MS, id, true
  end
end

-- How the probe ended; nothing for other tickets, which were granted before.
local function circuit_settle(p, id, good)
  local t = p.ad.t
  if not t or t[4] ~= id then
    return
  elseif good then
    p.ad.t, p.ad_moved = nil, true
  else
    t[1], t[4], p.ad_moved = p.ms, '', true -- it says nothing about money: another one may try
  end
end

-- ---- what the answer to a ticket told: items parted by ';', words by ' '
--   pause D ms                     nothing of D ('*': of any) before so long
--   limit D limit remaining grain debt  headers; -1 not told
--   refused D rate|ramp            for its rate; '*' when no limit was named
--   overload                       503, 529, 498
--   money WHY ms                   no money; ms until it is worth a try, -1 not told
--   good                           answered well
-- What moved is written into p.moves, for people.

local function moved(p, name, what, from, to)
  p.moves[#p.moves + 1] = string.format('%s %s %d->%d', name, what, from, to)
end

-- The dimension that most probably refused: the named one, else the emptiest.
local function refusing_dim(p, name)
  local least_d
  for _, d in ipairs(p.dims) do
    if d.name == name then
      return d
    elseif not least_d or d.L / (d.C * d.P) < least_d.L / (least_d.C * least_d.P) then
      least_d = d
    end
  end
  return least_d
end

local function note_dim(p, d, what, R, L)
  local lower, K = floor(d.L / d.P), floor(L / d.P)
  if d.R ~= R then
    moved(p, d.name, what, R, d.R)
  end
  if math.abs(lower - K) * 100 > d.C then -- less is not worth a word
    moved(p, d.name, 'level', K, lower)
  end
end

local NEWS = {}

function NEWS.pause(p, _, w)
  for _, d in ipairs(p.dims) do
    if w[2] == '*' or w[2] == d.name then
      d.W = max(d.W, p.ms + tonumber(w[3]))
      redis.call('HSET', p.key, d.name .. ':W', string.format('%d', d.W))
    end
  end
end

function NEWS.limit(p, t, w)
  for i, d in ipairs(p.dims) do
    if w[2] == d.name then
      local R, L = d.R, d.L
      adapt_hint(p, d, {limit = tonumber(w[3]), remaining = t.x[i] and tonumber(w[4]) or -1,
        grain = tonumber(w[5]), debt = tonumber(w[6]), seq = t.seq, granted_ms = t.t1, charged = p.X[i] - (t.x[i] or 0)})
      note_dim(p, d, 'limit', R, L)
    end
  end
end

function NEWS.refused(p, t, w)
  local one = refusing_dim(p, w[2])
  for _, d in ipairs(p.dims) do
    if w[3] == 'ramp' or d == one then
      local R = d.R
      adapt_refused(p, d, w[3] == 'ramp', t.seq)
      note_dim(p, d, 'rate', R, d.L)
    end
  end
end

function NEWS.overload(p, t)
  local K = p.K
  slots_overload(p, redis.call('ZCARD', p.pre .. 'inf'), t.seq)
  if p.K ~= K then
    moved(p, 'max_parallel_requests', 'limit', K, p.K)
  end
end

function NEWS.money(p, t, w)
  circuit_open(p, t.id, w[2], tonumber(w[3]))
  p.moves[#p.moves + 1] = string.format('circuit open %d %s', p.ad.t[1] - p.ms, w[2])
end

function NEWS.good(p, t)
  p.good = true
  slots_good(p, redis.call('ZCARD', p.pre .. 'inf'))
  if p.ad.t and p.ad.t[4] == t.id then
    p.moves[#p.moves + 1] = 'circuit closed'
  end
end

-- Before the ticket's own correction: its refund is not the provider's. t gets x, seq.
local function adapt_told(p, t, text)
  local v = redis.call('HMGET', p.pre .. 'j:' .. t.id, 'x', 'seq')
  t.x, t.seq, p.moves = {}, tonumber(v[2]) or 0, {}
  for n in string.gmatch(v[1] or '', '[^,]+') do
    t.x[#t.x + 1] = tonumber(n)
  end
  for item in string.gmatch(text, '[^;]+') do
    local w = {}
    for word in string.gmatch(item, '%S+') do
      w[#w + 1] = word
    end
    if NEWS[w[1]] then
      NEWS[w[1]](p, t, w)
    end
  end
  if not string.find(text, 'money ', 1, true) then
    circuit_settle(p, t.id, p.good)
  end
end

-- After it: what went through, for what is learned.
local function adapt_done(p, spent)
  for i, d in ipairs(p.good and p.dims or {}) do
    local R = d.R
    adapt_passed(p, d, spent[i])
    note_dim(p, d, 'rate', R, d.L)
  end
  return table.concat(p.moves, '; ')
end
-- end of adapt
