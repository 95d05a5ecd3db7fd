return redis.status_reply('reap')
