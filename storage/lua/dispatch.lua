-- dispatch: grants what may run now.
-- ARGV: owner, most, dims
-- RESULT: {'ok'}

local p = open_pool(ARGV[1], ARGV[2], ARGV[3])
if not p then
  return no_pool()
end
dispatch(p)
save(p)
return reply(p, {'ok'})
