-- Reads on from an offset of the text of many replies of one shard.
-- KEYS: (record, text) of each. ARGV: (offset, tenant, account) of each. Returns of each: {status, queue position, text};
-- the status is '' where the journal does not know the reply or knows it as another's.
local answers = {}
for i = 1, #KEYS / 2 do
  local record, text = KEYS[2 * i - 1], KEYS[2 * i]
  local known = redis.call('HMGET', record, 'tenant', 'account', 'status', 'queue')
  if known[1] == ARGV[3 * i - 1] and known[2] == ARGV[3 * i] then
    answers[i] = {known[3], known[4] or '', redis.call('GETRANGE', text, ARGV[3 * i - 2], -1)}
  else
    answers[i] = {'', '', ''}
  end
end
return answers
