return redis.status_reply('submit')
