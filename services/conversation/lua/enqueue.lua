-- Puts a reply's turn into the queue, unless the journal knows the reply already.
-- KEYS: record, running, turns. ARGV: reply, conversation, tenant, account, cancel, ttl, queue limit.
-- Returns 1: queued, 0: known, -1: the queue is full.
local reply, conversation, tenant, account, cancel, ttl, limit = unpack(ARGV)
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
if redis.call('XLEN', KEYS[3]) >= tonumber(limit) then return -1 end
local time = redis.call('TIME')
-- Epochs go on from the clock, so that a runner from before the journal was lost never shares one with a later runner.
local epoch = string.format('%d', time[1] * 1000 + math.floor(time[2] / 1000))
redis.call('HSET', KEYS[1], 'tenant', tenant, 'account', account, 'status', 'queued', 'epoch', epoch, 'cancel', cancel)
redis.call('PEXPIRE', KEYS[1], ttl)
redis.call('SADD', KEYS[2], reply)
redis.call('PEXPIRE', KEYS[2], ttl)
redis.call('XADD', KEYS[3], '*', 'reply', reply, 'conversation', conversation, 'tenant', tenant, 'account', account)
return 1
