return redis.status_reply('settle')
