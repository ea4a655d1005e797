-- Writes what many drafts of one shard gathered, each at its exact offset, and renews their leases.
-- KEYS: (record, text, tokens) of each. ARGV: lease, ttl, channel, then of each: turn, epoch, token offset, tokens,
-- text offset, text, queue position ('' for none); offsets in bytes.
-- Returns of each: 'ok', 'cancel', 'stale' (another has the turn), 'missing' (the journal lost it), or 'gap' (it lost
-- the claim, or a part of what was written).
local lease, ttl, channel = ARGV[1], ARGV[2], ARGV[3]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local answers, woken = {}, {}
for i = 1, #KEYS / 3 do
  local record, text, tokens = KEYS[3 * i - 2], KEYS[3 * i - 1], KEYS[3 * i]
  local turn, epoch, token_offset, token_bytes, text_offset, text_bytes, queue = unpack(ARGV, 7 * i - 3, 7 * i + 3)
  local current = redis.call('HMGET', record, 'epoch', 'cancel', 'queue', 'status')
  if not current[1] then
    answers[i] = 'missing'
  elseif tonumber(current[1]) > tonumber(epoch) then
    answers[i] = 'stale'
  elseif current[1] ~= epoch or redis.call('STRLEN', tokens) < tonumber(token_offset)
      or redis.call('STRLEN', text) < tonumber(text_offset) then
    answers[i] = 'gap'
  else
    if #token_bytes > 0 or #text_bytes > 0 then
      redis.call('SETRANGE', tokens, token_offset, token_bytes)
      redis.call('SETRANGE', text, text_offset, text_bytes)
      redis.call('HSET', record, 'claims', 0)
    end
    redis.call('HSET', record, 'lease', string.format('%d', now + lease), 'queue', queue)
    if current[4] ~= 'ended' then
      for _, key in ipairs({record, text, tokens}) do redis.call('PEXPIRE', key, ttl) end
    end
    if #text_bytes > 0 or (current[3] or '') ~= queue then woken[#woken + 1] = turn end
    answers[i] = current[2] == '1' and 'cancel' or 'ok'
  end
end
if #woken > 0 then redis.call('PUBLISH', channel, table.concat(woken, ' ')) end
return answers
