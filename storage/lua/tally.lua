-- tally: adds what one instance counted of one name (a tenant, a model) to what all counted.
-- KEYS: HASH of the kind: NAME \n FIELD -> number; NAME \n: it is known; \n: how many are known
-- ARGV: the most names, ms that the hash is kept, the name, then pairs: field, amount
-- RESULT: 1
--
-- Names come from requests: past the maximum a new one is counted as 'other'.

local key, name = KEYS[1], ARGV[3]
if name ~= 'other' and redis.call('HEXISTS', key, name .. '\n') == 0 then
  if tonumber(redis.call('HGET', key, '\n') or '0') < tonumber(ARGV[1]) then
    redis.call('HSET', key, name .. '\n', 1)
    redis.call('HINCRBY', key, '\n', 1)
  else
    name = 'other'
  end
end
for i = 4, #ARGV, 2 do
  redis.call('HINCRBY', key, name .. '\n' .. ARGV[i], ARGV[i + 1])
end
redis.call('PEXPIRE', key, ARGV[2])
return 1
