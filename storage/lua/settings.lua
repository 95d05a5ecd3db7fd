-- settings: saves or removes one entry, if it still is the version that its author has seen.
-- KEYS: the hash of all entries
-- ARGV: entry, record ('' removes it), expected version (-1 any, 0 none is saved), most entries
-- RESULT: what ('done', 'stale', 'full'), version: the new one, or of what is there (0 nothing)
--
-- Versions count the changes of all entries, so one never comes again, not even for an entry that was
-- removed and saved anew.

local key, entry, record = KEYS[1], ARGV[1], ARGV[2]
local expected, most = tonumber(ARGV[3]), tonumber(ARGV[4])
local old = redis.call('HGET', key, entry)
local version = old and tonumber(string.match(old, '^%d+')) or 0
if expected >= 0 and expected ~= version then
  return {'stale', version}
end
if record == '' then
  if not old then
    return {'done', 0}
  end
  redis.call('HDEL', key, entry)
else
  if not old and redis.call('HLEN', key) > most then
    return {'full', 0}
  end
end
version = redis.call('HINCRBY', key, 'version', 1)
if record ~= '' then
  redis.call('HSET', key, entry, int(version) .. ' ' .. record)
end
redis.call('PUBLISH', 'sluice:settings:changed', entry)
return {'done', record ~= '' and version or 0}
