/*
 * redis_fixture: a real redis-server for one test, on a unix socket in a folder of its own.
 *
 *   struct redis_fixture redis;
 *   assert_int_equal(redis_fixture_start(&redis, "maxmemory 10mb\n"), 0);
 *   ... redis.url ...
 *   redis_fixture_stop(&redis);
 *
 * Every call waits until what it promises is so. The server dies with the test program.
 *
 *   errors  0 or -1, with the reason on stderr.
 */
#ifndef TESTS_SUPPORT_REDIS_FIXTURE_H
#define TESTS_SUPPORT_REDIS_FIXTURE_H

#include "storage/redis_args.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct redisReply;

struct redis_fixture {
    char dir[64]; /* made by mkdtemp, removed by stop */
    char socket[108];
    char url[128];     /* unix://… */
    char password[64]; /* for redis_fixture_ask(), when `requirepass` is set */
    bool is_sentinel;  /* when the configuration holds `sentinel monitor` */
    pid_t pid;         /* 0: not running */
};

/* config is text of a redis.conf, behind ours (no TCP, no persistence), so it wins; NULL: none. */
int redis_fixture_start(struct redis_fixture *f, const char *config);
void redis_fixture_stop(struct redis_fixture *f); /* and removes the folder; idempotent */

void redis_fixture_kill(struct redis_fixture *f);   /* SIGKILL, collected; the folder stays */
int redis_fixture_restart(struct redis_fixture *f); /* same folder and configuration */
int redis_fixture_spawn(struct redis_fixture *f);   /* as restart, but does not wait for PONG */
void redis_fixture_pause(struct redis_fixture *f);  /* SIGSTOP, until it is stopped */
void redis_fixture_resume(struct redis_fixture *f); /* SIGCONT */

/* One command over a connection of its own. The reply is given (redis_reply_free()); NULL
 * when there was none. */
struct redisReply *redis_fixture_ask(struct redis_fixture *f, const struct redis_args *args);
int64_t redis_fixture_ask_int(struct redis_fixture *f, const struct redis_args *args);
/* True when the reply is just this text. */
bool redis_fixture_says(struct redis_fixture *f, const char *text, const struct redis_args *args);
/* A number out of INFO ("total_connections_received"); 0 when absent. Of a value
 * with parts it is the first: the calls of "cmdstat_evalsha", the count of "errorstat_OOM". */
int64_t redis_fixture_info(struct redis_fixture *f, const char *name);
/* Sends without waiting and returns the descriptor, for commands that block. */
int redis_fixture_send(struct redis_fixture *f, const struct redis_args *args);

#endif
