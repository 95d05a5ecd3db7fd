#include "api/client/screen.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

/* Alternate screen (1049), cursor (25). */
#define ENTER           "\033[?1049h\033[?25l\033[2J"
#define LEAVE           "\033[?25h\033[?1049l"
#define DEFAULT_COLUMNS 80
#define DEFAULT_ROWS    24

static struct {
    volatile sig_atomic_t open, prepared;
    struct termios before, during;
} screen;

bool screen_is_possible(void)
{
    const char *term = getenv("TERM");
    return isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1 && term && *term &&
           strcmp(term, "dumb") != 0;
}

/* With write() only: it is called by signal handlers. */
static void put(const char *text, size_t len)
{
    while (len > 0) {
        ssize_t n = write(STDOUT_FILENO, text, len);
        if (n < 0 && errno != EINTR)
            return;
        text += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
}

static void enter(void)
{
    (void)tcsetattr(STDIN_FILENO, TCSANOW, &screen.during);
    put(ENTER, sizeof(ENTER) - 1);
}

static void leave(void)
{
    put(LEAVE, sizeof(LEAVE) - 1);
    (void)tcsetattr(STDIN_FILENO, TCSANOW, &screen.before);
}

static void on_end(int number)
{
    if (screen.open)
        leave();
    screen.open = 0;
    (void)raise(number); /* its handler is the default one again (SA_RESETHAND) */
}

static void on_stop(int number)
{
    int kept = errno;
    (void)number;
    if (screen.open)
        leave();
    (void)raise(SIGSTOP);
    if (screen.open)
        enter();
    errno = kept;
}

static void on_resize(int number)
{
    (void)number; /* ends the wait; the size is asked at each drawing */
}

static void listen_to(int number, void (*handler)(int), unsigned flags)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = (int)flags};
    struct sigaction old;
    (void)sigemptyset(&action.sa_mask);
    if (sigaction(number, NULL, &old) == 0 && old.sa_handler != SIG_IGN)
        (void)sigaction(number, &action, NULL);
}

static void listen_to_all(void)
{
    static const int ends[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGABRT, SIGPIPE};
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
        listen_to(ends[i], on_end, SA_RESETHAND);
    listen_to(SIGTSTP, on_stop, SA_RESTART);
    listen_to(SIGWINCH, on_resize, 0);
}

int screen_open(void)
{
    if (tcgetattr(STDIN_FILENO, &screen.before) < 0)
        return -errno;
    screen.during = screen.before;
    screen.during.c_lflag &= ~(tcflag_t)(ICANON | ECHO); /* Ctrl-C stays a signal */
    screen.during.c_cc[VMIN] = 1;
    screen.during.c_cc[VTIME] = 0;
    if (!screen.prepared) {
        listen_to_all();
        if (atexit(screen_close) != 0)
            return -ENOMEM;
        screen.prepared = 1;
    }
    screen.open = 1;
    enter();
    return 0;
}

void screen_close(void)
{
    if (screen.open)
        leave();
    screen.open = 0;
}

void screen_size(int *ret_columns, int *ret_rows)
{
    struct winsize size = {.ws_col = 0};
    int rc = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
    *ret_columns = rc == 0 && size.ws_col > 0 ? size.ws_col : DEFAULT_COLUMNS;
    *ret_rows = rc == 0 && size.ws_row > 0 ? size.ws_row : DEFAULT_ROWS;
}

void screen_draw(const char *text, size_t len)
{
    /* Each line erases what stood behind it, so nothing flickers as an erased screen would. */
    static const char home[] = "\033[H", rest[] = "\033[J", line[] = "\033[K\n";
    put(home, sizeof(home) - 1);
    while (len > 0) {
        const char *end = memchr(text, '\n', len);
        size_t n = end ? (size_t)(end - text) : len;
        put(text, n);
        put(line, sizeof(line) - 1);
        n += end ? 1 : 0;
        text += n;
        len -= n;
    }
    put(rest, sizeof(rest) - 1);
}

int screen_key(const unsigned char *bytes, size_t len)
{
    static const struct {
        const char *bytes;
        int key;
    } known[] = {
        {"\033[A", SCREEN_UP},       {"\033OA", SCREEN_UP},         {"k", SCREEN_UP},
        {"\033[B", SCREEN_DOWN},     {"\033OB", SCREEN_DOWN},       {"j", SCREEN_DOWN},
        {"\033[C", SCREEN_RIGHT},    {"\033OC", SCREEN_RIGHT},      {"\t", SCREEN_RIGHT},
        {"\033[D", SCREEN_LEFT},     {"\033OD", SCREEN_LEFT},       {"\033[Z", SCREEN_LEFT},
        {"\033[5~", SCREEN_PAGE_UP}, {"\033[6~", SCREEN_PAGE_DOWN},
    };
    if (len == 0)
        return SCREEN_GONE;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (strlen(known[i].bytes) == len && memcmp(known[i].bytes, bytes, len) == 0)
            return known[i].key;
    }
    return bytes[0] >= SCREEN_CHAR && bytes[0] < 0x7f ? bytes[0] : SCREEN_OTHER;
}

int screen_wait(int ms)
{
    unsigned char bytes[16];
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    if (poll(&input, 1, ms) <= 0)
        return SCREEN_NONE;
    ssize_t n = read(STDIN_FILENO, bytes, sizeof(bytes));
    if (n < 0)
        return errno == EINTR ? SCREEN_NONE : SCREEN_GONE;
    return screen_key(bytes, (size_t)n);
}
