return redis.status_reply('cancel')
