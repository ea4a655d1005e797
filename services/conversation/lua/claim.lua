-- Takes a turn, unless its lease is alive. Every claim raises the epoch, which shuts out whoever had it before.
-- KEYS: record, text, tokens, running. ARGV: reply, tenant, account, lease, ttl.
-- Returns {epoch, claims without progress, cancel, tokens, text}, or {} while another has it.
local reply, tenant, account, lease, ttl = unpack(ARGV)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local until_ = tonumber(redis.call('HGET', KEYS[1], 'lease') or 0)
-- A lease further away than any can be comes from a clock that jumped.
if until_ > now and until_ <= now + tonumber(lease) then return {} end
-- Never below the clock: a replica that takes over may not know the last claims, and none of theirs may come again.
local epoch = math.max(tonumber(redis.call('HGET', KEYS[1], 'epoch') or 0) + 1, now)
local claims = redis.call('HINCRBY', KEYS[1], 'claims', 1)
redis.call('HSET', KEYS[1], 'epoch', string.format('%d', epoch), 'lease', string.format('%d', now + lease))
redis.call('HSET', KEYS[1], 'tenant', tenant, 'account', account)
if redis.call('HGET', KEYS[1], 'status') ~= 'ended' then redis.call('HSET', KEYS[1], 'status', 'running') end
redis.call('SADD', KEYS[4], reply)
for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, ttl) end
return {
  epoch, claims, redis.call('HGET', KEYS[1], 'cancel') or '0',
  redis.call('GET', KEYS[3]) or '', redis.call('GET', KEYS[2]) or '',
}
