-- history: adds what one instance saw to a chunk of points of the past.
-- KEYS: the chunk
-- ARGV: ms that the chunk is kept, then triples: '+' or '^' (the larger counts), field, amount
-- RESULT: 1

for i = 2, #ARGV, 3 do
  local field, amount = ARGV[i + 1], ARGV[i + 2]
  if ARGV[i] == '+' then
    redis.call('HINCRBY', KEYS[1], field, amount)
  elseif tonumber(redis.call('HGET', KEYS[1], field) or '-1') < tonumber(amount) then
    redis.call('HSET', KEYS[1], field, amount)
  end
end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1
