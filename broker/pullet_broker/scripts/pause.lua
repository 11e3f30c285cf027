-- pause: let no worker take another job, or end that; and call those that wait.
-- KEYS     config stops
-- ARGV     paused
--          paused: 1, or 0 to end the pause
-- RETURNS  OK
-- OOM      allow
-- ATOMIC   whoever hears the call finds the queue as it is said to be, and the call always has a TTL
if not (arg.paused == '0' or arg.paused == '1') then
  return redis.error_reply('PULLET pause: the arguments do not have the expected form')
end
if arg.paused == '1' then
  redis.call('HSET', key.config, 'paused', 1)
else
  redis.call('HDEL', key.config, 'paused')
end
redis.call('XADD', key.stops, 'MAXLEN', '~', 10000, '*', 'call', 1)
redis.call('PEXPIRE', key.stops, 60000)
return 'OK'
