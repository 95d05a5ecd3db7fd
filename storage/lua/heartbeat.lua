return redis.status_reply('heartbeat')
