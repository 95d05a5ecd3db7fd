-- cancel: takes a waiting ticket out. One that runs is marked, and its instance is asked to stop.
-- ARGV: owner, most, dims, id
-- RESULT: {state it was in, fence} ('none' when it is not known; fence of its last grant, 0 none)

local p = open_pool(ARGV[1], ARGV[2], ARGV[3])
if not p then
  return no_pool()
end
local t = load_ticket(p, ARGV[4])
local was = t and t.st or 'none'
if was == 'queued' then
  unqueue(p, t)
  finish(p, t, 'cancelled')
elseif was == 'delayed' then
  redis.call('ZREM', p.pre .. 'delay', t.id)
  finish(p, t, 'cancelled')
elseif was == 'running' then
  redis.call('HSET', p.pre .. 'j:' .. t.id, 'cancel', 1)
  redis.call('PUBLISH', 'sluice:i:' .. t.ow, 'cancel ' .. t.id .. ' 0 0 ' .. p.pre)
end
if was == 'queued' then
  dispatch(p)
end
save(p)
return reply(p, {was, int(t and t.at or 0)})
