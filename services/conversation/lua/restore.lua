-- Writes a draft that the journal lost, whole, and queues its turn again for the case that its runner dies, too.
-- KEYS: record, text, tokens, running, turns. ARGV: reply, conversation, tenant, account, epoch, cancel,
-- lease, ttl.
local reply, conversation, tenant, account, epoch, cancel, lease, ttl = unpack(ARGV)
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('DEL', KEYS[2], KEYS[3])
redis.call('HSET', KEYS[1], 'tenant', tenant, 'account', account, 'status', 'running', 'epoch', epoch)
redis.call('HSET', KEYS[1], 'cancel', cancel, 'lease', string.format('%d', now + lease))
redis.call('PEXPIRE', KEYS[1], ttl)
redis.call('SADD', KEYS[4], reply)
redis.call('PEXPIRE', KEYS[4], ttl)
redis.call('XADD', KEYS[5], '*', 'reply', reply, 'conversation', conversation, 'tenant', tenant, 'account', account)
return 1
