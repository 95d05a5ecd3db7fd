return redis.status_reply('dispatch')
