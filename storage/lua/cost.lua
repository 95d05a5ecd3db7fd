-- cost: adds to the counters of one hash.
-- KEYS: the hash
-- ARGV: until when it is kept, ms since 1970; most fields; the row; the row that takes what finds no
--       room; then name and amount of each counter
-- RESULT: the counters' new values, in their order
--
-- A counter is the field 'NAME ROW'. Its first one stands in every row, and tells whether there is
-- one. A sum that would not fit stays as it is: money that overflows must not fail what comes with it.

local key, row = KEYS[1], ARGV[3]
if redis.call('HEXISTS', key, ARGV[5] .. ' ' .. row) == 0 and
  redis.call('HLEN', key) >= tonumber(ARGV[2]) then
  row = ARGV[4]
end
local result = {}
for i = 5, #ARGV, 2 do
  local name = ARGV[i] .. ' ' .. row
  local sum = redis.pcall('HINCRBY', key, name, ARGV[i + 1])
  if type(sum) == 'table' then
    sum = redis.call('HGET', key, name)
  end
  result[#result + 1] = sum
end
redis.call('PEXPIREAT', key, ARGV[1])
return result
