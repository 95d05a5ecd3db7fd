return redis.status_reply('configure')
