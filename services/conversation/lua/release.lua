-- Gives up a lease that is still one's own; this claim is not counted as one that brought nothing.
-- KEYS: record. ARGV: epoch.
local known = redis.call('HMGET', KEYS[1], 'epoch', 'lease')
if known[1] ~= ARGV[1] or known[2] == '0' then return 0 end
redis.call('HSET', KEYS[1], 'lease', 0)
redis.call('HINCRBY', KEYS[1], 'claims', -1)
return 1
