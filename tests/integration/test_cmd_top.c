/* `sluice top` against a running service, also on a terminal. */
#include "common/clock.h"
#include "tests/support/api_kit.h"
#include "tests/support/command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define ENTER      "\033[?1049h"
#define SIX_BLOCKS "\xe2\x96\x88\xe2\x96\x88\xe2\x96\x88\xe2\x96\x88\xe2\x96\x88\xe2\x96\x88"
#define LEAVE      "\033[?1049l"

static struct api_kit kit;
static struct command c;

static int start(void **state)
{
    (void)state;
    api_kit_start(&kit, "--latency-ms 1 --output-tokens 5", NULL);
    (void)setenv("SLUICE_URL", kit.serve.url, 1);
    (void)setenv("TERM", "xterm", 1);
    (void)setenv("LC_ALL", "C.UTF-8", 1);
    (void)unsetenv("SLUICE_KEY");
    (void)unsetenv("NO_COLOR");
    return 0;
}

static int stop(void **state)
{
    (void)state;
    api_kit_stop(&kit);
    return 0;
}

/* ---- without a terminal */

static void without_a_terminal_one_picture_is_printed_as_plain_text(void **state)
{
    (void)state;
    assert_int_equal(api_kit_status(&kit, "POST", KIT_CHAT_PATH, KIT_CHAT("gpt-4o")), 200);
    COMMAND(&c, NULL, "top");
    assert_int_equal(c.code, 0);
    assert_string_equal(c.err, "");
    assert_true(command_wrote(&c, "sim:gpt-4o") || command_wrote(&c, ":gpt-4o"));
    assert_true(command_wrote(&c, "rpm     ["));
    assert_true(command_wrote(&c, "TENANT") && command_wrote(&c, "default"));
    assert_true(command_wrote(&c, "alive, asked"));
    assert_false(command_wrote(&c, "\033"));
}

static void json_is_one_object(void **state)
{
    (void)state;
    COMMAND(&c, NULL, "top", "--json");
    assert_int_equal(c.code, 0);
    assert_int_equal(command_lines(c.out), 1);
    json_t *stats = json_loads(c.out, 0, NULL);
    assert_string_equal(json_text_at(stats, "object"), "stats");
    json_decref(stats);
}

static void a_service_that_is_not_there_is_told_and_no_screen_opened(void **state)
{
    (void)state;
    COMMAND_ON_TERMINAL(&c, "top", "--url", "http://127.0.0.1:1");
    assert_int_equal(c.code, 1);
    assert_true(command_wrote(&c, "sluice top: no answer from http://127.0.0.1:1"));
    assert_false(command_wrote(&c, "\033"));
}

static void once_is_no_screen_on_a_terminal_either(void **state)
{
    (void)state;
    COMMAND_ON_TERMINAL(&c, "top", "--once");
    assert_int_equal(c.code, 0);
    assert_true(command_wrote(&c, "INSTANCE"));
    assert_false(command_wrote(&c, ENTER));
}

/* ---- on one */

struct session {
    pid_t pid;
    int master;
    struct termios before;
    size_t len, seen; /* bytes read; of them, looked through */
    char text[1 << 20];
};
static struct session s;

static void begin(const char *option)
{
    struct winsize size = {.ws_row = 24, .ws_col = 100};
    s = (struct session){.len = 0};
    s.pid = forkpty(&s.master, NULL, NULL, &size);
    assert_true(s.pid >= 0);
    if (s.pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)execl(getenv("SLUICE_BINARY"), "sluice", "top", option, (char *)NULL);
        _exit(127);
    }
    assert_int_equal(tcgetattr(s.master, &s.before), 0);
}

static bool read_some(int ms)
{
    struct pollfd p = {.fd = s.master, .events = POLLIN};
    if (poll(&p, 1, ms) <= 0)
        return false;
    ssize_t n = read(s.master, s.text + s.len, sizeof(s.text) - 1 - s.len);
    if (n > 0)
        s.len += (size_t)n;
    s.text[s.len] = '\0';
    return n > 0;
}

/* Behind what was seen before. */
static void see(const char *text)
{
    for (int64_t until = clock_mono_ms() + SERVE_CHILD_WAIT_MS; clock_mono_ms() < until;) {
        const char *at = strstr(s.text + s.seen, text);
        if (at) {
            s.seen = (size_t)(at - s.text) + strlen(text);
            return;
        }
        (void)read_some(100);
    }
    fail_msg("\"%s\" did not come after %zu of %zu bytes: %s", text, s.seen, s.len,
             s.text + s.seen);
}

static void press(const char *keys)
{
    assert_int_equal(write(s.master, keys, strlen(keys)), strlen(keys));
}

static void the_terminal_is_as_before(void)
{
    struct termios now;
    assert_int_equal(tcgetattr(s.master, &now), 0);
    assert_int_equal(now.c_lflag, s.before.c_lflag);
    assert_string_equal(s.text + s.len - strlen(LEAVE), LEAVE);
}

/* Its exit code, or -signal. The master is kept open, to be looked at. */
static int ended(void)
{
    int status = 0;
    for (int64_t until = clock_mono_ms() + SERVE_CHILD_WAIT_MS; clock_mono_ms() < until;) {
        (void)read_some(50);
        if (waitpid(s.pid, &status, WNOHANG) == s.pid) {
            while (read_some(0)) {
            }
            return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
        }
    }
    (void)kill(s.pid, SIGKILL);
    fail_msg("it did not end: %s", s.text + s.seen);
    return 0;
}

static void keys_change_the_picture_and_q_ends_it(void **state)
{
    struct termios during;
    (void)state;
    begin(NULL);
    see(ENTER);
    see("\033[1m[pools]");
    assert_int_equal(tcgetattr(s.master, &during), 0);
    assert_int_equal(during.c_lflag & (ICANON | ECHO), 0);
    press("\t");
    see("[tenants]");
    press("\033[C");
    see("[models]");
    press("\033[Z");
    see("[tenants]");
    press("s");
    see("s by waiting");
    press("p");
    see("paused");
    press("p");
    see("p pause");
    press("q");
    assert_int_equal(ended(), 0);
    the_terminal_is_as_before();
    (void)close(s.master);
}

static void it_draws_again_by_itself_and_when_the_size_changes(void **state)
{
    struct winsize size = {.ws_row = 24, .ws_col = 40};
    (void)state;
    begin(NULL);
    see("requests/s -");
    see("requests/s 0.0"); /* a second answer has come */
    assert_int_equal(ioctl(s.master, TIOCSWINSZ, &size), 0);
    see("m" SIX_BLOCKS "\033[0m"); /* the bar of a narrow picture */
    press("q");
    assert_int_equal(ended(), 0);
    (void)close(s.master);
}

static void a_signal_ends_it_with_the_terminal_as_before(void **state)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGABRT};
    (void)state;
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        begin(NULL);
        see("[pools]");
        assert_int_equal(kill(s.pid, signals[i]), 0);
        assert_int_equal(ended(), -signals[i]);
        the_terminal_is_as_before();
        (void)close(s.master);
    }
}

static void ctrl_c_is_a_signal_like_any_other(void **state)
{
    (void)state;
    begin(NULL);
    see("[pools]");
    press("\003");
    assert_int_equal(ended(), -SIGINT);
    the_terminal_is_as_before();
    (void)close(s.master);
}

static void while_it_is_stopped_the_terminal_is_as_before(void **state)
{
    int status = 0;
    (void)state;
    begin(NULL);
    see("[pools]");
    press("\032");
    see(LEAVE);
    assert_int_equal(waitpid(s.pid, &status, WUNTRACED), s.pid);
    assert_true(WIFSTOPPED(status));
    the_terminal_is_as_before();
    assert_int_equal(kill(s.pid, SIGCONT), 0);
    see(ENTER);
    see("[pools]");
    press("q");
    assert_int_equal(ended(), 0);
    (void)close(s.master);
}

static void no_color_means_none(void **state)
{
    (void)state;
    (void)setenv("NO_COLOR", "1", 1);
    begin(NULL);
    (void)unsetenv("NO_COLOR");
    see("[pools]");
    press("q");
    assert_int_equal(ended(), 0);
    assert_null(strstr(s.text, "\033[1m"));
    assert_null(strstr(s.text, "\033[2m"));
    (void)close(s.master);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_terminal_one_picture_is_printed_as_plain_text),
        cmocka_unit_test(json_is_one_object),
        cmocka_unit_test(a_service_that_is_not_there_is_told_and_no_screen_opened),
        cmocka_unit_test(once_is_no_screen_on_a_terminal_either),
        cmocka_unit_test(keys_change_the_picture_and_q_ends_it),
        cmocka_unit_test(it_draws_again_by_itself_and_when_the_size_changes),
        cmocka_unit_test(a_signal_ends_it_with_the_terminal_as_before),
        cmocka_unit_test(ctrl_c_is_a_signal_like_any_other),
        cmocka_unit_test(while_it_is_stopped_the_terminal_is_as_before),
        cmocka_unit_test(no_color_means_none),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
