#include "api/client/cmd_top.h"

#include "api/client/client.h"
#include "api/client/screen.h"
#include "api/client/terminal.h"
#include "api/client/top_text.h"

#include "common/clock.h"
#include "common/limits.h"

#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_DELAY_S 3600
#define CALL_MS     5000 /* keys wait for an answer so long at most */

enum { OPT_ONCE = ARGS_NO_CHAR };

static const struct args_option options[] = {
    CLIENT_OPTIONS,
    {OPT_ONCE, "once", NULL, "print one picture as text, as without a terminal"},
    {'d', "delay", "SECONDS", "between two pictures (1)"},
    {0},
};

const struct args_command cmd_top_usage = {
    .name = "top",
    .about = "Shows queue and buckets of a running service, live.",
    .operands = "",
    .options = options,
    .example = "  sluice top\n"
               "  sluice top --once | less\n"
               "  sluice top --json\n"
               "(Keys: q quits, p pauses, s sorts, Tab and arrows change the view and scroll.)",
};

struct top {
    struct client client;
    struct terminal term;
    json_t *now, *before;
    int64_t now_ms; /* when it was answered, monotonic */
    struct top_frame frame;
    struct error trouble;
    struct buf text;
};

static int fail(const char *what)
{
    (void)fprintf(stderr, "sluice top: %s\n", what);
    return EXIT_FAILURE;
}

static int ask(struct top *t)
{
    json_t *answer = NULL;
    struct client_call call = {.method = "GET", .path = "/v1/stats", .timeout_ms = CALL_MS};
    int rc = client_call(&t->client, &call, &answer, &t->trouble);
    t->frame.trouble = rc < 0 ? t->trouble.text : NULL;
    if (rc < 0)
        return rc;
    int64_t at_ms = clock_mono_ms();
    json_decref(t->before);
    t->before = t->now;
    t->now = answer;
    t->frame.gap_ms = at_ms - t->now_ms;
    t->now_ms = at_ms;
    t->frame.now = t->now;
    t->frame.before = t->before;
    return 0;
}

/* ---- once */

static int print_once(struct top *t, bool json)
{
    bool failed = false;
    if (json) {
        failed = json_dumpf(t->now, stdout, JSON_COMPACT) < 0 || putchar('\n') == EOF;
    } else {
        (void)top_text(&t->frame, &t->term, &t->text);
        failed = t->text.failed || fputs(t->text.data, stdout) == EOF;
    }
    if (failed || fflush(stdout) != 0)
        return fail("the output could not be written");
    return EXIT_SUCCESS;
}

/* ---- live */

static void draw(struct top *t)
{
    struct top_frame *f = &t->frame;
    for (int tries = 0; tries < 2; tries++) {
        int rows;
        screen_size(&f->columns, &rows);
        f->rows = rows > 1 ? rows - 1 : 1; /* the newline of the last must not scroll */
        buf_clear(&t->text);
        int most = top_text(f, &t->term, &t->text) - 1;
        if (f->scroll <= most || f->scroll == 0)
            break;
        f->scroll = most > 0 ? most : 0; /* the view has become shorter */
    }
    if (!t->text.failed)
        screen_draw(t->text.data, t->text.len);
}

static void turn(struct top_frame *f, int by)
{
    f->view = (enum top_view)(((int)f->view + by + TOP_VIEWS) % TOP_VIEWS);
    f->scroll = 0;
}

static void scroll(struct top_frame *f, int by)
{
    f->scroll = f->scroll + by > 0 ? f->scroll + by : 0; /* draw() bounds it below */
}

/* False: it was the last. */
static bool take_key(struct top_frame *f, int key)
{
    if (key == 'q' || key == SCREEN_GONE)
        return false;
    if (key == 'p')
        f->paused = !f->paused;
    else if (key == 's')
        f->sort = (enum top_sort)(((int)f->sort + 1) % TOP_SORTS);
    else if (key == SCREEN_RIGHT || key == SCREEN_LEFT)
        turn(f, key == SCREEN_RIGHT ? 1 : -1);
    else if (key == SCREEN_UP || key == SCREEN_DOWN)
        scroll(f, key == SCREEN_UP ? -1 : 1);
    else if (key == SCREEN_PAGE_UP || key == SCREEN_PAGE_DOWN)
        scroll(f, key == SCREEN_PAGE_UP ? -f->rows : f->rows);
    return true;
}

static int run_live(struct top *t, int64_t delay_ms)
{
    int64_t next_ms = clock_mono_ms() + delay_ms;
    int rc = screen_open();
    if (rc < 0)
        return fail(strerror(-rc));
    t->frame.keys = true;
    for (;;) {
        draw(t);
        int64_t left_ms = next_ms - clock_mono_ms();
        int key = screen_wait(left_ms > 0 ? (int)left_ms : 0);
        if (!take_key(&t->frame, key))
            break;
        if (clock_mono_ms() < next_ms)
            continue;
        if (!t->frame.paused)
            (void)ask(t); /* a service that is away is told in the picture */
        next_ms = clock_mono_ms() + delay_ms;
    }
    screen_close();
    return EXIT_SUCCESS;
}

static int run(struct top *t, bool once, bool json, int64_t delay_ms)
{
    (void)setlocale(LC_CTYPE, "");
    terminal_init(&t->term, stdout);
    buf_init(&t->text, CLIENT_MAX_REPLY_BYTES);
    t->frame = (struct top_frame){.url = t->client.url};
    t->frame.utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    if (ask(t) < 0)
        return fail(t->trouble.text);
    return once || json || !screen_is_possible() ? print_once(t, json) : run_live(t, delay_ms);
}

int cmd_top(int argc, char **argv)
{
    struct client_options service = {.url = NULL};
    struct top t = {.now_ms = 0};
    bool once = false;
    int64_t delay_s = 1;
    struct args a;
    args_init(&a, &cmd_top_usage, argc, argv);
    for (int id; (id = args_next(&a)) != ARGS_END;) {
        if (client_option(&service, id, a.value))
            continue;
        if (id == OPT_ONCE)
            once = true;
        else
            (void)args_number(&a, 1, MAX_DELAY_S, &delay_s);
    }
    if (a.exit_code >= 0)
        return a.exit_code;
    int code = client_init(&t.client, &service, &t.trouble) < 0
                   ? fail(t.trouble.text)
                   : run(&t, once, service.json, delay_s * 1000);
    json_decref(t.now);
    json_decref(t.before);
    buf_release(&t.text);
    client_release(&t.client);
    return code;
}
