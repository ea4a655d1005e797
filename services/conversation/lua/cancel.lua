-- Asks whoever runs a reply to stop. Returns 1: asked, 0: the journal does not know it (then queue it as cancelled).
-- KEYS: record. ARGV: turn, channel.
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], 'cancel', '1')
redis.call('PUBLISH', ARGV[2], '!' .. ARGV[1])
return 1
