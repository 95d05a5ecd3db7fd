#include "tests/support/sim_child.h"

#include "common/limits.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <curl/curl.h>

#define MAX_ARGUMENTS 64

static void run_child(int out, char *options)
{
    char own[4][16] = {"sluice", "simulate", "--listen", "127.0.0.1:0"};
    char *arguments[MAX_ARGUMENTS] = {own[0], own[1], own[2], own[3]};
    int count = 4;
    for (char *word = strtok(options, " "); word && count < MAX_ARGUMENTS - 1;
         word = strtok(NULL, " "))
        arguments[count++] = word;
    const char *binary = getenv("SLUICE_BINARY");
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)dup2(out, STDOUT_FILENO);
    if (binary)
        (void)execv(binary, arguments);
    _exit(127);
}

void sim_child_start(struct sim_child *sim, const char *options)
{
    static const char says[] = "listening on ";
    int ends[2];
    char line[128] = "";
    char *copy = strdup(options);
    assert_non_null(copy);
    assert_int_equal(pipe(ends), 0);
    sim->pid = fork();
    assert_true(sim->pid >= 0);
    if (sim->pid == 0)
        run_child(ends[1], copy);
    free(copy);
    (void)close(ends[1]);
    FILE *out = fdopen(ends[0], "r");
    assert_non_null(out);
    if (!fgets(line, sizeof(line), out) || strncmp(line, says, sizeof(says) - 1) != 0)
        fail_msg("sluice simulate %s said \"%s\"", options, line);
    (void)fclose(out);
    line[strcspn(line, "\n")] = '\0';
    (void)snprintf(sim->url, sizeof(sim->url), "%.60s", line + sizeof(says) - 1);
}

void sim_child_stop(struct sim_child *sim)
{
    int status = 0;
    if (sim->pid == 0)
        return;
    (void)kill(sim->pid, SIGTERM);
    assert_int_equal(waitpid(sim->pid, &status, 0), sim->pid);
    sim->pid = 0;
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0); /* a sanitizer's report ends it otherwise */
}

static size_t keep(char *bytes, size_t size, size_t count, void *arg)
{
    return buf_add(arg, bytes, size * count) == 0 ? size * count : 0;
}

static struct http_answer ask(CURL *curl, const char *url, const char *path)
{
    struct http_answer a = {.status = 0};
    char whole[1024];
    long status = 0;
    buf_init(&a.headers, 64 * KIB);
    buf_init(&a.body, 64 * MIB);
    (void)snprintf(whole, sizeof(whole), "%s%s", url, path);
    curl_easy_setopt(curl, CURLOPT_URL, whole);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, keep);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &a.body);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, keep);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, &a.headers);
    a.curl_error = (int)curl_easy_perform(curl);
    (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    a.status = (int)status;
    (void)buf_adds(&a.headers, ""); /* data is text from here on, also without a reply */
    (void)buf_adds(&a.body, "");
    return a;
}

struct http_answer http_ask(const char *method, const char *url, const char *path, const char *body,
                            const char *header)
{
    CURL *curl = curl_easy_init();
    assert_non_null(curl);
    struct curl_slist *lines = NULL;
    char *all = strdup(header ? header : ""), *rest = all;
    assert_non_null(all);
    for (char *line; (line = strsep(&rest, "\r\n"));)
        lines = *line ? curl_slist_append(lines, line) : lines;
    free(all);
    if (body)
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, lines);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)HTTP_ASK_TIMEOUT_MS);
    struct http_answer a = ask(curl, url, path);
    curl_slist_free_all(lines);
    curl_easy_cleanup(curl);
    return a;
}

struct http_answer http_ask_for(const char *url, const char *path, const char *body, int timeout_ms)
{
    CURL *curl = curl_easy_init();
    assert_non_null(curl);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
    struct http_answer a = ask(curl, url, path);
    curl_easy_cleanup(curl);
    return a;
}

void http_answer_release(struct http_answer *a)
{
    buf_release(&a->headers);
    buf_release(&a->body);
}

const char *http_answer_header(const struct http_answer *a, const char *name, char *out,
                               size_t size)
{
    size_t len = strlen(name);
    const char *line = a->headers.data;
    out[0] = '\0';
    for (; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
        if (strncasecmp(line, name, len) == 0 && strncmp(line + len, ": ", 2) == 0)
            (void)snprintf(out, size, "%.*s", (int)strcspn(line + len + 2, "\r\n"), line + len + 2);
    return out;
}

json_t *sim_child_ledger(const struct sim_child *sim)
{
    struct http_answer a = http_ask("GET", sim->url, "/sim/ledger", NULL, NULL);
    assert_int_equal(a.status, 200);
    json_t *ledger = json_loads(a.body.data, 0, NULL);
    assert_non_null(ledger);
    http_answer_release(&a);
    return ledger;
}

int64_t json_at(const json_t *value, const char *path)
{
    char key[128];
    for (const char *at = path; *at;) {
        size_t len = strcspn(at, "/");
        (void)snprintf(key, sizeof(key), "%.*s", (int)len, at);
        value = json_is_array(value) ? json_array_get(value, strtoul(key, NULL, 10))
                                     : json_object_get(value, key);
        if (!value)
            fail_msg("no \"%s\" of %s", key, path);
        at += len + (at[len] == '/');
    }
    return json_integer_value(value);
}
