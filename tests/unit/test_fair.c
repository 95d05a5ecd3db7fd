#include "limiter/fair.h"

#include "common/limits.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define MAX_TICKETS 64

struct bench {
    struct fair fair;
    struct fair_entry entries[MAX_TICKETS];
    char ids[MAX_TICKETS][8];
    size_t count;
};

static int set_up(void **state)
{
    static struct bench b;
    b = (struct bench){0};
    fair_init(&b.fair, 1);
    *state = &b;
    return 0;
}

static int tear_down(void **state)
{
    struct bench *b = *state;
    for (size_t i = 0; i < b->count; i++) {
        struct fair_entry *e = &b->entries[i];
        if (e->flow && e->in_flow.rank)
            fair_leave(&b->fair, e);
        fair_close(&b->fair, e->flow);
    }
    fair_release(&b->fair);
    return 0;
}

static struct fair_entry *add(struct bench *b, enum pool_class c, const char *tenant,
                              int64_t weight, int64_t cost)
{
    size_t i = b->count++;
    struct fair_entry *e = &b->entries[i];
    (void)snprintf(b->ids[i], sizeof(b->ids[i]), "t%03zu", i);
    *e = (struct fair_entry){
        .id = b->ids[i], .order_us = (int64_t)i, .weight = weight, .cost = cost};
    assert_int_equal(fair_open(&b->fair, c, tenant, &e->flow), 0);
    fair_enqueue(&b->fair, e);
    assert_null(fair_check(&b->fair));
    return e;
}

/* Grants the head and writes the tenant's letter. */
static void grant(struct bench *b, char *out)
{
    struct fair_entry *e = fair_flow_head(fair_first(&b->fair));
    *out = fair_tenant(e->flow)[0];
    fair_charge(&b->fair, e);
    assert_null(fair_check(&b->fair));
}

static void assert_order(struct bench *b, const char *order)
{
    char got[MAX_TICKETS + 1] = "";
    for (size_t i = 0; order[i]; i++)
        grant(b, &got[i]);
    assert_string_equal(got, order);
}

static void an_empty_queue_has_no_first(void **state)
{
    struct bench *b = *state;
    assert_null(fair_first(&b->fair));
}

/* Equal costs, weights 1 and 3: F of a moves by 10000, of b by 3334. */
static void tenants_share_by_weight(void **state)
{
    struct bench *b = *state;
    for (int i = 0; i < 8; i++) {
        (void)add(b, CLASS_NORMAL, "a", 1, 10);
        (void)add(b, CLASS_NORMAL, "b", 3, 10);
    }
    /* S: a 0, b 0 | a 10000, b 3334, 6668, 10002 | a 20000, b 13336, 16670, 20004 */
    assert_order(b, "abbbabbbabb");
}

/* Costs 1 and 4 of equal weight: equal tokens, so four small ones to one large. */
static void tenants_share_tokens_and_not_requests(void **state)
{
    struct bench *b = *state;
    for (int i = 0; i < 10; i++) {
        (void)add(b, CLASS_NORMAL, "a", 1, 4);
        (void)add(b, CLASS_NORMAL, "b", 1, 1);
    }
    /* a: 0 4000 8000; b: 0 1000 2000 3000, then 4000 ties and a is first by name */
    assert_order(b, "abbbbabbbbab");
}

/* Weights 16:4:1. F moves by 1000, 4000 and 16000 thousandths of 16 tokens. */
static void classes_share_by_weight(void **state)
{
    struct bench *b = *state;
    for (int i = 0; i < 20; i++) {
        (void)add(b, CLASS_INTERACTIVE, "i", 1, 16);
        (void)add(b, CLASS_NORMAL, "n", 1, 16);
        (void)add(b, CLASS_BATCH, "x", 1, 16);
    }
    assert_order(b, "inxiiiiniiiiniiiiniiiinx");
}

static void ties_go_to_the_lower_class_and_the_smaller_name(void **state)
{
    struct bench *b = *state;
    (void)add(b, CLASS_BATCH, "a", 1, 1);
    (void)add(b, CLASS_NORMAL, "c", 1, 4);
    (void)add(b, CLASS_NORMAL, "b", 1, 4);
    assert_order(b, "bac");
}

/* A tenant that was away starts at v: it neither saved up nor pays for its absence. */
static void a_returning_tenant_starts_at_the_virtual_time(void **state)
{
    struct bench *b = *state;
    for (int i = 0; i < 10; i++)
        (void)add(b, CLASS_NORMAL, "a", 1, 10);
    assert_order(b, "aaaa"); /* v = 30000, S of a = 40000 */
    (void)add(b, CLASS_NORMAL, "b", 1, 10);
    (void)add(b, CLASS_NORMAL, "b", 1, 10);
    (void)add(b, CLASS_NORMAL, "b", 1, 10);
    assert_order(b, "babab"); /* b: 30000, 40000 (a first), 50000 (a first) */
}

static void a_returning_class_starts_at_the_virtual_time_of_the_pool(void **state)
{
    struct bench *b = *state;
    for (int i = 0; i < 10; i++)
        (void)add(b, CLASS_BATCH, "x", 1, 1);
    assert_order(b, "xxxx"); /* v = 3000, S of batch = 4000 */
    for (int i = 0; i < 5; i++)
        (void)add(b, CLASS_NORMAL, "n", 1, 4);
    assert_order(b, "nnxnx"); /* normal: 3000, 4000 (the lower class), 5000 */
}

static void a_tenant_that_comes_back_at_once_keeps_its_finish_tag(void **state)
{
    struct bench *b = *state;
    (void)add(b, CLASS_NORMAL, "a", 1, 100);
    (void)add(b, CLASS_NORMAL, "b", 1, 10);
    (void)add(b, CLASS_NORMAL, "b", 1, 10);
    assert_order(b, "a"); /* F of a = 100000, v = 0 */
    (void)add(b, CLASS_NORMAL, "a", 1, 10);
    assert_order(b, "bba");
}

static void a_settlement_moves_the_tags_once(void **state)
{
    struct bench *b = *state;
    struct fair_entry *first = add(b, CLASS_NORMAL, "a", 1, 100);
    (void)add(b, CLASS_NORMAL, "a", 1, 10);
    for (int i = 0; i < 6; i++)
        (void)add(b, CLASS_NORMAL, "b", 1, 10);
    assert_order(b, "ab");             /* S: a 100000, b 10000 */
    fair_correct(&b->fair, first, 25); /* S: a 25000 */
    fair_correct(&b->fair, first, 0);
    assert_order(b, "bba"); /* 10000, 20000, then a before b's 30000 */
}

static void a_debt_to_others_is_paid_too(void **state)
{
    struct bench *b = *state;
    struct fair_entry *first = add(b, CLASS_NORMAL, "a", 1, 10);
    (void)add(b, CLASS_NORMAL, "a", 1, 10);
    for (int i = 0; i < 4; i++)
        (void)add(b, CLASS_NORMAL, "b", 1, 10);
    assert_order(b, "a");
    fair_correct(&b->fair, first, 30); /* S of a: 30000 */
    assert_order(b, "bbbab");          /* the tie at 30000 is a's by name */
}

static void corrections_round_up_below_zero_too(void **state)
{
    struct bench *b = *state;
    struct fair_entry *first = add(b, CLASS_NORMAL, "a", 3, 10);
    (void)add(b, CLASS_NORMAL, "a", 3, 10);
    assert_order(b, "a");             /* F = ceil(10000 / 3) = 3334 */
    fair_correct(&b->fair, first, 0); /* + ceil(-10000 / 3) = -3333 */
    assert_int_equal(fair_flow_start(first->flow), 1);
}

static void the_end_of_a_busy_period_forgets_all_tags(void **state)
{
    struct bench *b = *state;
    struct fair_entry *first = add(b, CLASS_NORMAL, "a", 1, 100);
    assert_order(b, "a");
    assert_int_equal(b->fair.classes[CLASS_NORMAL].finish, 0);

    for (int i = 0; i < 3; i++) {
        (void)add(b, CLASS_NORMAL, "a", 1, 10);
        (void)add(b, CLASS_NORMAL, "b", 1, 10);
    }
    fair_correct(&b->fair, first, 0); /* of the earlier period: no credit in this one */
    assert_order(b, "ababab");
}

static void a_ticket_that_leaves_ungranted_moves_no_tag(void **state)
{
    struct bench *b = *state;
    struct fair_entry *first = add(b, CLASS_NORMAL, "a", 1, 100);
    (void)add(b, CLASS_NORMAL, "a", 1, 10);
    (void)add(b, CLASS_NORMAL, "b", 1, 10);
    fair_leave(&b->fair, first);
    assert_order(b, "ab");
}

static void inside_a_flow_the_order_key_counts_then_the_id(void **state)
{
    struct bench *b = *state;
    struct fair_entry *late = add(b, CLASS_NORMAL, "a", 1, 1);
    struct fair_entry *same = add(b, CLASS_NORMAL, "a", 1, 1);
    struct fair_entry *early = add(b, CLASS_NORMAL, "a", 1, 1);
    fair_leave(&b->fair, late);
    fair_leave(&b->fair, same);
    late->order_us = same->order_us = 50;
    fair_enqueue(&b->fair, same);
    fair_enqueue(&b->fair, late);
    assert_ptr_equal(fair_flow_head(early->flow), early);
    fair_charge(&b->fair, early);
    assert_ptr_equal(fair_flow_head(late->flow), late);
}

static void the_walk_follows_the_tags_through_all_classes(void **state)
{
    struct bench *b = *state;
    (void)add(b, CLASS_BATCH, "x", 1, 1);
    (void)add(b, CLASS_INTERACTIVE, "j", 1, 1);
    (void)add(b, CLASS_INTERACTIVE, "i", 1, 1);
    (void)add(b, CLASS_NORMAL, "n", 1, 1);
    char seen[8] = "";
    size_t n = 0;
    for (struct fair_flow *f = fair_first(&b->fair); f; f = fair_after(&b->fair, f))
        seen[n++] = fair_tenant(f)[0];
    assert_string_equal(seen, "ijnx");
}

/* One-off tenants in a queue that never empties must not pile up. */
static void flows_without_tickets_are_freed_once_they_are_overtaken(void **state)
{
    struct bench *b = *state;
    for (int i = 0; i < 20; i++)
        (void)add(b, CLASS_NORMAL, "a", 1, 10);
    for (int i = 0; i < 10; i++) {
        char name[TENANT_NAME_BYTES];
        (void)snprintf(name, sizeof(name), "b%d", i);
        struct fair_entry *e = add(b, CLASS_NORMAL, name, 1, 5);
        fair_charge(&b->fair, e);
        fair_close(&b->fair, e->flow);
        e->flow = NULL;
    }
    assert_int_equal(b->fair.classes[CLASS_NORMAL].flows.count, 11);
    assert_order(b, "aa"); /* v = 10000 is past each 5000 */
    assert_int_equal(b->fair.classes[CLASS_NORMAL].flows.count, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_empty_queue_has_no_first),
        TEST(tenants_share_by_weight),
        TEST(tenants_share_tokens_and_not_requests),
        TEST(classes_share_by_weight),
        TEST(ties_go_to_the_lower_class_and_the_smaller_name),
        TEST(a_returning_tenant_starts_at_the_virtual_time),
        TEST(a_returning_class_starts_at_the_virtual_time_of_the_pool),
        TEST(a_tenant_that_comes_back_at_once_keeps_its_finish_tag),
        TEST(a_settlement_moves_the_tags_once),
        TEST(a_debt_to_others_is_paid_too),
        TEST(corrections_round_up_below_zero_too),
        TEST(the_end_of_a_busy_period_forgets_all_tags),
        TEST(a_ticket_that_leaves_ungranted_moves_no_tag),
        TEST(inside_a_flow_the_order_key_counts_then_the_id),
        TEST(the_walk_follows_the_tags_through_all_classes),
        TEST(flows_without_tickets_are_freed_once_they_are_overtaken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
