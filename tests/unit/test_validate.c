#include "scheduler/prompt/validate.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define MAX_BODY 2048

/* One quote for two, so that the tables can be read: ' stands for ". */
static size_t body_of(enum wire_endpoint endpoint, const char *messages, char body[MAX_BODY])
{
    size_t len = (size_t)snprintf(body, MAX_BODY, "{\"%s\":[%s]}",
                                  endpoint == WIRE_RESPONSES ? "input" : "messages", messages);
    assert_true(len < MAX_BODY);
    for (char *p = body; *p; p++)
        if (*p == '\'')
            *p = '"';
    return len;
}

static void read(enum wire_endpoint endpoint, const char *messages, char body[MAX_BODY],
                 struct transcript *t)
{
    struct error e = {""};
    size_t len = body_of(endpoint, messages, body);
    if (json_scan_check(body, len, &e) < 0)
        fail_msg("%s in %s", e.text, body);
    assert_int_equal(transcript_read(endpoint, body, len, t, &e), 0);
}

#define USER   "{'role':'user','content':'q'}"
#define ANSWER "{'role':'assistant','content':'a'}"
#define CALL                                                                                       \
    "{'role':'assistant','content':null,'tool_calls':[{'id':'1','function':"                       \
    "{'name':'f','arguments':'{}'}}]}"
#define TOOL      "{'role':'tool','tool_call_id':'1','content':'r'}"
#define USE       "{'role':'assistant','content':[{'type':'tool_use','id':'1','input':{}}]}"
#define RESULT    "{'type':'tool_result','tool_use_id':'1','content':'r'}"
#define RESULTS   "{'role':'user','content':[" RESULT "]}"
#define ITEM_CALL "{'type':'function_call','call_id':'1','name':'f','arguments':'{}'}"
#define ITEM_OUT  "{'type':'function_call_output','call_id':'1','output':'r'}"
#define REASON    "{'type':'reasoning','summary':[]}"

struct body_case {
    enum wire_endpoint endpoint;
    int invariant; /* 0: legal */
    const char *messages;
};

static const struct body_case bodies[] = {
    {WIRE_CHAT, 0, USER "," CALL "," TOOL "," ANSWER},
    {WIRE_CHAT, 0, ANSWER},
    {WIRE_CHAT, 0, "{'role':'assistant','refusal':'no'}"},
    {WIRE_CHAT, 5, ""},
    {WIRE_CHAT, 5, "{'role':'robot','content':'x'}"},
    {WIRE_CHAT, 5, "{'role':'user'}"},
    {WIRE_CHAT, 5, "{'role':'user','content':[]}"},
    {WIRE_CHAT, 5, "{'role':'assistant','content':null}"},
    {WIRE_CHAT, 3, USER "," CALL},
    {WIRE_CHAT, 3, USER "," CALL "," USER "," TOOL},
    {WIRE_CHAT, 4, USER "," TOOL},
    {WIRE_CHAT, 4, CALL "," TOOL ",{'role':'tool','tool_call_id':'2','content':'r'}"},
    {WIRE_CHAT, 10,
     "{'role':'assistant','content':null,'tool_calls':[{'id':'1','function':{'name':'f',"
     "'arguments':{}}}]}," TOOL},
    {WIRE_RESPONSES, 0, USER "," REASON "," ITEM_CALL "," ITEM_OUT "," ANSWER},
    {WIRE_RESPONSES, 3, ITEM_CALL},
    {WIRE_RESPONSES, 4, USER "," ITEM_OUT},
    {WIRE_RESPONSES, 0, "{'type':'item_reference','id':'x'}," ITEM_OUT},
    {WIRE_RESPONSES, 7, USER "," REASON},
    {WIRE_RESPONSES, 7, USER "," REASON "," USER},
    {WIRE_RESPONSES, 5, "{'content':'no role'}"},
    {WIRE_MESSAGES, 0, USER "," USE "," RESULTS "," ANSWER},
    {WIRE_MESSAGES, 0, USER "," USER "," ANSWER},
    {WIRE_MESSAGES, 0, USER ",{'role':'assistant','content':[]}"},
    {WIRE_MESSAGES, 0,
     USER "," USE ",{'role':'user','content':[" RESULT ",{'type':'text','text':'t'}]}"},
    {WIRE_MESSAGES, 5, ""},
    {WIRE_MESSAGES, 5, ANSWER "," USER},
    {WIRE_MESSAGES, 5, "{'role':'system','content':'x'}," USER},
    {WIRE_MESSAGES, 5, "{'role':'user','content':''}"},
    {WIRE_MESSAGES, 5, "{'role':'user','content':[]}"},
    {WIRE_MESSAGES, 5, "{'role':'user'}"},
    {WIRE_MESSAGES, 5, "{'role':'user','content':[{'type':'text','text':''}]}"},
    {WIRE_MESSAGES, 5, USER ",{'role':'assistant','content':'ends '}"},
    {WIRE_MESSAGES, 5, USER ",{'role':'assistant','content':[{'type':'text','text':'x\\n'}]}"},
    {WIRE_MESSAGES, 3, USER "," USE},
    {WIRE_MESSAGES, 3, USER "," USE "," USER},
    {WIRE_MESSAGES, 3,
     USER "," USE ",{'role':'user','content':[{'type':'text','text':'t'}," RESULT "]}"},
    {WIRE_MESSAGES, 4, USER "," ANSWER "," RESULTS},
    {WIRE_MESSAGES, 4, USER "," USE "," RESULTS "," ANSWER "," RESULTS},
    {WIRE_MESSAGES, 10,
     USER ",{'role':'assistant','content':[{'type':'tool_use','id':'1','input':'{}'}]}," RESULTS},
    {WIRE_MESSAGES, 0,
     "{'role':'user','content':[{'type':'text','text':'1','cache_control':{}},"
     "{'type':'text','text':'2','cache_control':{}},{'type':'text','text':'3','cache_control':{}},"
     "{'type':'text','text':'4','cache_control':{}}]}"},
    {WIRE_MESSAGES, 9,
     "{'role':'user','content':[{'type':'text','text':'1','cache_control':{}},"
     "{'type':'text','text':'2','cache_control':{}},{'type':'text','text':'3','cache_control':{}},"
     "{'type':'text','text':'4','cache_control':{}},"
     "{'type':'text','text':'5','cache_control':{}}]}"},
};

static void a_body_is_judged_by_its_format(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        const struct body_case *c = &bodies[i];
        char body[MAX_BODY];
        struct transcript t;
        struct validate_fault f = {.invariant = 0};
        read(c->endpoint, c->messages, body, &t);
        int rc = validate_body(&t, &f);
        if (rc != (c->invariant ? -EINVAL : 0) || f.invariant != c->invariant)
            fail_msg("%s: invariant %d (%s), expected %d", body, f.invariant, f.error.text,
                     c->invariant);
        transcript_release(&t);
    }
}

struct edit_case {
    enum wire_endpoint endpoint;
    int invariant;
    const char *before, *after;
};

#define SYSTEM  "{'role':'system','content':'s'}"
#define THOUGHT "{'role':'assistant','content':[{'type':'thinking','thinking':'x'}]}"
#define MARKED  "{'role':'user','content':[{'type':'text','text':'1','cache_control':{}}]}"
#define PLAIN   "{'role':'user','content':[{'type':'text','text':'1'}]}"

static const struct edit_case edits[] = {
    {WIRE_CHAT, 0, SYSTEM "," USER "," ANSWER "," USER, SYSTEM "," USER},
    {WIRE_CHAT, 1, SYSTEM "," USER "," ANSWER "," USER, USER},
    {WIRE_CHAT, 1, SYSTEM "," USER, "{'role':'system','content':'S'}," USER},
    {WIRE_CHAT, 2, USER "," ANSWER, USER},
    {WIRE_CHAT, 2, USER "," ANSWER, ANSWER},
    {WIRE_CHAT, 2, USER "," CALL "," TOOL, USER},
    {WIRE_CHAT, 2, USER, "{'role':'user','content':'Q'}"},
    {WIRE_CHAT, 0, USER "," CALL "," TOOL,
     USER "," CALL ",{'role':'tool','tool_call_id':'1','content':'shorter'}"},
    {WIRE_CHAT, 2, USER "," CALL "," TOOL,
     USER ",{'role':'assistant','content':null,'tool_calls':[{'id':'1','function':"
          "{'name':'f','arguments':'{ }'}}]}," TOOL},
    {WIRE_MESSAGES, 5, USER "," ANSWER "," USER "," ANSWER "," USER, USER "," USER},
    {WIRE_MESSAGES, 6, USER "," THOUGHT "," USER,
     USER ",{'role':'assistant','content':[{'type':'thinking','thinking':'y'}]}," USER},
    {WIRE_MESSAGES, 9, MARKED "," ANSWER "," USER, USER},
    {WIRE_MESSAGES, 0, MARKED "," ANSWER "," PLAIN, MARKED},
    {WIRE_MESSAGES, 9, PLAIN "," ANSWER "," PLAIN, MARKED},
};

static void an_edit_may_not_touch_what_must_stay(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(edits) / sizeof(edits[0]); i++) {
        const struct edit_case *c = &edits[i];
        char before_body[MAX_BODY], after_body[MAX_BODY];
        struct transcript before, after;
        struct validate_fault f = {.invariant = 0};
        read(c->endpoint, c->before, before_body, &before);
        read(c->endpoint, c->after, after_body, &after);
        int rc = validate_edit(&before, &after, &f);
        if (rc != (c->invariant ? -EINVAL : 0) || f.invariant != c->invariant)
            fail_msg("%s -> %s: invariant %d (%s), expected %d", before_body, after_body,
                     f.invariant, f.error.text, c->invariant);
        transcript_release(&before);
        transcript_release(&after);
    }
}

static void what_stands_beside_the_messages_may_not_change(void **state)
{
    (void)state;
    static const char one[] =
        "{\"messages\":[{\"role\":\"user\",\"content\":\"q\"}],\"tools\":[1]}";
    static const char two[] =
        "{\"messages\":[{\"role\":\"user\",\"content\":\"q\"}],\"tools\":[2]}";
    struct transcript before, after;
    struct validate_fault f;
    assert_int_equal(transcript_read(WIRE_CHAT, one, strlen(one), &before, NULL), 0);
    assert_int_equal(transcript_read(WIRE_CHAT, two, strlen(two), &after, NULL), 0);
    assert_int_equal(validate_edit(&before, &after, &f), -EINVAL);
    assert_int_equal(f.invariant, 1);
    transcript_release(&before);
    transcript_release(&after);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_body_is_judged_by_its_format),
        cmocka_unit_test(an_edit_may_not_touch_what_must_stay),
        cmocka_unit_test(what_stands_beside_the_messages_may_not_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
