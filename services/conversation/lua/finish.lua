-- Marks a reply as ended, once its result is stored elsewhere. Readers have `linger` milliseconds to read the rest here.
-- KEYS: record, text, tokens, running, ended. ARGV: reply, turn, linger, channel.
redis.call('SREM', KEYS[4], ARGV[1])
if redis.call('EXISTS', KEYS[1]) == 1 then
  redis.call('HSET', KEYS[1], 'status', 'ended')
  for i = 1, 3 do redis.call('PEXPIRE', KEYS[i], ARGV[3]) end
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  redis.call('ZADD', KEYS[5], string.format('%d', now), ARGV[1])
  redis.call('ZREMRANGEBYSCORE', KEYS[5], '-inf', string.format('%d', now - ARGV[3]))
  redis.call('PEXPIRE', KEYS[5], ARGV[3])
end
redis.call('PUBLISH', ARGV[4], ARGV[2])
return 1
