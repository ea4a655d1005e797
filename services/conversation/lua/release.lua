-- Gives up a lease that is still one's own; this claim is not counted as one that brought nothing.
-- KEYS: record. ARGV: epoch.
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'lease', 0)
redis.call('HINCRBY', KEYS[1], 'claims', -1)
return 1
