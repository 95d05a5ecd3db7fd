-- accrue: a ticket that runs has produced more than was reserved for it, and is charged while it
-- produces: of dimensions whose rule is 'a' what is above its cost, as debt when there is no room. The
-- totals include all that was told before, so that one told twice is charged once.
-- ARGV: owner, most (unused), dims, id, fence, produced so far '0,0,700'
-- RESULT: {'ok'} or {'stale', state}: it does not run under this fence, nothing was charged

local p = open_pool(ARGV[1], 0, ARGV[3])
if not p then
  return no_pool()
end
local t = load_ticket(p, ARGV[4])
if not t or t.st ~= 'running' or t.at ~= tonumber(ARGV[5]) then
  return reply(p, {'stale', t and t.st or 'none'})
end
local more, before = {}, t.e or {}
for i, produced in ipairs(costs(ARGV[6])) do
  local d = p.dims[i]
  local known = before[d.name] or 0
  more[i] = d.F == 'a' and math.max(produced - t.cost[i] - known, 0) or 0
  if more[i] > 0 then
    accrue_dim(p, d, more[i])
    p.X[i] = p.X[i] + more[i]
    before[d.name] = known + more[i]
  end
end
own_accrue(p, t, more)
local text = {}
for name, n in pairs(before) do
  text[#text + 1] = name .. ' ' .. int(n)
end
if #text > 0 then
  redis.call('HSET', p.pre .. 'j:' .. t.id, 'ac', table.concat(text, ';'))
end
save(p)
return reply(p, {'ok'})
