/*
 * serve_child: `sluice serve` as a process of its own, in a folder of its own.
 *
 *   struct serve_child s;
 *   serve_child_start(&s, "providers: ...\n", "--allow-volatile");
 *   struct http_answer a = http_ask("GET", s.url, "/readyz", NULL, NULL);
 *   serve_child_stop(&s);
 *
 * Address and data folder are given on the command line, so a configuration need not name them.
 *
 *   ownership  stop removes the folder; the child dies with the test program.
 *   errors     what cannot be started or read fails the test that runs.
 */
#ifndef TESTS_SUPPORT_SERVE_CHILD_H
#define TESTS_SUPPORT_SERVE_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

#define SERVE_CHILD_WAIT_MS 30000

struct serve_child {
    pid_t pid;     /* 0: not running */
    char url[64];  /* http://127.0.0.1:PORT; "" when it ended before it listened */
    char dir[64];  /* made by mkdtemp */
    char log[96];  /* its stderr */
    char file[96]; /* its configuration */
};

/* Waits until it listens or has ended. options are parted by single blanks; NULL: none. */
void serve_child_start(struct serve_child *s, const char *config, const char *options);
void serve_child_write(const struct serve_child *s, const char *config); /* replaces the file */
/* Waits for its end: the exit code, or -signal. */
int serve_child_wait(struct serve_child *s);
/* SIGTERM and its end, which must be 0 (a sanitizer's report is not); idempotent. */
void serve_child_stop(struct serve_child *s);
/* Whether the log holds the text; the second waits for it. */
bool serve_child_said(const struct serve_child *s, const char *text);
bool serve_child_says(const struct serve_child *s, const char *text);

#endif
