/* Jobs and calls while the way to Redis is cut, silent or torn to pieces. */
#include "tests/support/chaos_proxy.h"
#include "tests/support/core_kit.h"

#include "common/rand.h"
#include "storage/redis_reply.h"

#include <hiredis.h>
#include <inttypes.h>
#include <signal.h>

#define OK_BODY  "{\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}"
#define JOBS     120
#define CUTS     20
#define AT_ONCE  6
#define LIMITS   "rpm: 100000, max_parallel_requests: 8"
#define LEASE    "queue: {lease_ms: 1000}\n"
#define END_MS   90000
#define DOWN_MS  40 /* a cut keeps Redis away for so long at most */
#define APART_MS 100

static const struct fake_step answers[] = {
    {.op = FAKE_READ},
    {.op = FAKE_SEND, .bytes = CORE_REPLY("200 OK", "Content-Type: application/json\r\n", OK_BODY)},
    {.op = FAKE_CLOSE}};

struct rig {
    struct core_kit *kit;
    struct chaos_proxy *proxy;
    struct rand rand;
    size_t begun, under_way, accepted, refused;
    char ids[JOBS][TICKET_ID_BYTES];
};

static int set_up(void **state)
{
    struct rig *r = calloc(1, sizeof(*r));
    const char *given = getenv("TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : rand_system_seed() % 1000000;
    char back[128], front[128];
    (void)printf("seed %" PRIu64 "\n", seed);
    if (!r || core_kit_setup((void **)&r->kit))
        return -1;
    *state = r;
    rand_seed(&r->rand, seed);
    (void)snprintf(back, sizeof(back), "unix:%s", r->kit->redis.socket);
    (void)snprintf(front, sizeof(front), "unix:%s/front.sock", r->kit->redis.dir);
    r->proxy = chaos_proxy_new(r->kit->base, front, back, seed);
    (void)snprintf(r->kit->redis.url, sizeof(r->kit->redis.url), "unix://%.90s/front.sock",
                   r->kit->redis.dir);
    FAKE_SCRIPT(r->kit->provider, answers);
    return r->proxy ? 0 : -1;
}

static int tear_down(void **state)
{
    struct rig *r = *state;
    r->begun = JOBS;
    chaos_proxy_free(r->proxy);
    int rc = core_kit_teardown((void **)&r->kit);
    free(r);
    return rc;
}

static void tell(struct rig *r, const char *command)
{
    char answer[CHAOS_LINE_BYTES];
    if (!chaos_proxy_tell(r->proxy, command, answer))
        fail_msg("%s: %s", command, answer);
}

static void submit_next(struct rig *r);

static void on_told(void *arg, const struct job_record *record, bool replayed,
                    const struct call_failure *failure)
{
    struct rig *r = arg;
    (void)replayed;
    r->under_way--;
    if (record)
        (void)snprintf(r->ids[r->accepted++], TICKET_ID_BYTES, "%s", record->id);
    else
        r->refused += failure->status != 503;
    submit_next(r);
}

static void submit_next(struct rig *r)
{
    if (r->begun == JOBS)
        return;
    struct job_spec spec = {.endpoint = WIRE_CHAT,
                            .body = strdup(CORE_BODY),
                            .body_len = strlen(CORE_BODY),
                            .tenant = "default",
                            .weight = 1,
                            .class = CLASS_NORMAL};
    r->begun++;
    r->under_way++;
    job_submit(r->kit->jobs, &spec, on_told, r);
}

static void until_ms(struct rig *r, int64_t at_ms)
{
    while (clock_mono_ms() < at_ms)
        core_kit_step(r->kit);
}

static void all_accepted_jobs_end_well(struct rig *r)
{
    int64_t end_ms = clock_mono_ms() + END_MS;
    assert_true(r->accepted > 0);
    for (size_t i = 0; i < r->accepted; i++) {
        while (!core_is(r->kit, r->ids[i], "done")) {
            if (clock_mono_ms() > end_ms)
                fail_msg("job %zu of %zu, %s, has not ended", i, r->accepted, r->ids[i]);
            core_kit_step(r->kit);
        }
    }
    assert_int_equal(r->refused, 0);
    assert_int_equal(core_queued(r->kit), 0);
    assert_int_equal(core_running(r->kit), 0);
}

static void twenty_cuts_lose_no_job(void **state)
{
    struct rig *r = *state;
    core_kit_start(r->kit, LIMITS, LEASE);
    for (int i = 0; i < CUTS; i++) {
        for (int k = 0; k < JOBS / CUTS; k++)
            submit_next(r);
        until_ms(r, clock_mono_ms() + rand_below(&r->rand, APART_MS));
        tell(r, "refuse on");
        tell(r, rand_below(&r->rand, 2) ? "cut" : "reset");
        until_ms(r, clock_mono_ms() + rand_below(&r->rand, DOWN_MS));
        tell(r, "refuse off");
    }
    CORE_UNTIL(r->kit, r->under_way == 0);
    all_accepted_jobs_end_well(r);
    assert_int_equal(r->accepted, JOBS); /* an outage this short is waited for */
}

static void replies_in_slices_change_nothing(void **state)
{
    struct rig *r = *state;
    core_kit_start(r->kit, LIMITS, LEASE);
    tell(r, "slice 7 0");
    for (int i = 0; i < AT_ONCE; i++)
        submit_next(r);
    CORE_UNTIL(r->kit, r->under_way == 0);
    all_accepted_jobs_end_well(r);
    assert_int_equal(r->accepted, JOBS);
    assert_int_equal(fake_provider_requests(r->kit->provider), JOBS);
}

/* The kernel still believes in the connection: only the deadline of a command tells. */
static void a_silent_connection_is_found_and_replaced(void **state)
{
    struct rig *r = *state;
    core_kit_start(r->kit, LIMITS, LEASE);
    tell(r, "stall both");
    submit_next(r);
    CORE_UNTIL(r->kit, !r->kit->up);
    tell(r, "stall off");
    r->begun = JOBS - 2;
    submit_next(r);
    CORE_UNTIL(r->kit, r->kit->up && r->under_way == 0);
    all_accepted_jobs_end_well(r);
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
#define RIG(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        RIG(twenty_cuts_lose_no_job),
        RIG(replies_in_slices_change_nothing),
        RIG(a_silent_connection_is_found_and_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
