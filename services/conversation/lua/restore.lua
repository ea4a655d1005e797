-- Makes a draft known again of which the journal lost everything, or its claim; what was written follows from the
-- start. Its turn is queued again for the case that its runner dies, too.
-- KEYS: record, text, tokens, running, turns. ARGV: reply, conversation, tenant, account, epoch, cancel,
-- lease, ttl.
local reply, conversation, tenant, account, epoch, cancel, lease, ttl = unpack(ARGV)
local known = redis.call('HMGET', KEYS[1], 'epoch', 'cancel')
-- A claim of the same epoch or a later one stands.
if known[1] and tonumber(known[1]) >= tonumber(epoch) then return 0 end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('DEL', KEYS[2], KEYS[3])
redis.call('HSET', KEYS[1], 'tenant', tenant, 'account', account, 'status', 'running', 'epoch', epoch)
if known[2] ~= '1' then redis.call('HSET', KEYS[1], 'cancel', cancel) end
redis.call('HSET', KEYS[1], 'lease', string.format('%d', now + lease))
redis.call('PEXPIRE', KEYS[1], ttl)
redis.call('SADD', KEYS[4], reply)
redis.call('PEXPIRE', KEYS[4], ttl)
if not known[1] then
  redis.call('XADD', KEYS[5], '*', 'reply', reply, 'conversation', conversation, 'tenant', tenant, 'account', account)
end
return 1
