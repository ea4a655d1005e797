-- Passes where the journal can be written: scripts run, and this server is no replica.
-- KEYS: one that is never there.
return redis.call('DEL', KEYS[1])
