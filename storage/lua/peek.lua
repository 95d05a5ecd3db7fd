return redis.status_reply('peek')
