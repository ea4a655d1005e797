-- Says of many turns of one shard whether nobody's lease on them is alive.
-- KEYS: the record of each. ARGV: lease. Returns of each: 1 or 0.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local answers = {}
for i, record in ipairs(KEYS) do
  local until_ = tonumber(redis.call('HGET', record, 'lease') or 0)
  answers[i] = (until_ > now and until_ <= now + tonumber(ARGV[1])) and 0 or 1
end
return answers
