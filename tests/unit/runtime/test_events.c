/* runtime/kubernetes/events: series instead of repetitions, and the bounds on what is written. */
#include "../test.h"

#include "base/buf.h"
#include "base/mem.h"
#include "runtime/kubernetes/events.h"

static bool yes(const char *about OH_UNUSED, void *data OH_UNUSED)
{
    return true;
}

static bool no(const char *about OH_UNUSED, void *data OH_UNUSED)
{
    return false;
}

static struct kube_event *next(struct kube_events *l, int64_t now)
{
    return kube_events_next(l, now, yes, NULL);
}

static void write_it(struct kube_events *l, struct kube_event *e, int64_t now)
{
    static int number;
    int count = e->count;
    if (!*e->name)
        snprintf(e->name, sizeof(e->name), "event-%d", number++);
    autofree char *name = mem_strdup(e->name);
    e->busy = true;
    kube_events_done(l, name, count, true, now);
}

/* Writes all that is due; returns how many requests that took. */
static int write_all(struct kube_events *l, int64_t now)
{
    struct kube_event *e;
    int n = 0;
    for (; (e = next(l, now)); n++)
        write_it(l, e, now);
    return n;
}

static void a_repetition_becomes_a_count(void **state OH_UNUSED)
{
    struct kube_events *l = kube_events_new();
    kube_events_say(l, "a", false, "Draining", "its image changes", 0, 1000);
    assert_int_equal(write_all(l, 0), 1);
    kube_events_say(l, "a", false, "Draining", "its image changes", 5000, 6000);
    struct kube_event *e = next(l, 5000);
    assert_non_null(e);
    assert_int_equal(e->count, 2);
    assert_int_equal(e->first_wall_ms, 1000);
    assert_int_equal(e->last_wall_ms, 6000);
    write_it(l, e, 5000);
    /* From then on at most each minute, and only when it is said. */
    for (int i = 1; i <= 50; i++)
        kube_events_say(l, "a", false, "Draining", "its image changes", 5000 + i * 1000, 0);
    assert_null(next(l, 5000 + KUBE_EVENTS_REFRESH_MS));
    kube_events_say(l, "a", false, "Draining", "its image changes", 5000 + KUBE_EVENTS_REFRESH_MS, 0);
    e = next(l, 5000 + KUBE_EVENTS_REFRESH_MS);
    assert_non_null(e);
    assert_int_equal(e->count, 53);
    assert_int_equal(kube_events_count(l), 1);
    kube_events_free(l);
}

/* The quiet after the work: what was said often in it costs no request then. */
static void no_count_is_written_after_the_fact(void **state OH_UNUSED)
{
    struct kube_events *l = kube_events_new();
    for (int i = 0; i < 9; i++) {
        kube_events_say(l, "a", false, "Waiting", "for its pod", i * 5000, 0);
        assert_int_equal(write_all(l, i * 5000), i < 2);
    }
    for (int64_t now = 40000; now < 40000 + KUBE_EVENTS_SERIES_MS; now += 1000)
        assert_int_equal(write_all(l, now), 0);
    kube_events_free(l);
}

/* The answer to the event itself comes after it was said again. */
static void a_repetition_before_the_answer_is_written_behind_it(void **state OH_UNUSED)
{
    struct kube_events *l = kube_events_new();
    kube_events_say(l, "a", false, "Draining", "one", 0, 0);
    struct kube_event *e = next(l, 0);
    snprintf(e->name, sizeof(e->name), "x");
    e->busy = true;
    kube_events_say(l, "a", false, "Draining", "one", 10, 0);
    assert_null(next(l, 10));
    kube_events_done(l, "x", 1, true, 20);
    assert_int_equal(write_all(l, 20), 1);
    assert_int_equal(write_all(l, 30), 0);
    kube_events_free(l);
}

static void what_differs_or_is_long_ago_is_another_event(void **state OH_UNUSED)
{
    struct kube_events *l = kube_events_new();
    kube_events_say(l, "a", false, "Draining", "one", 0, 0);
    kube_events_say(l, "a", false, "Draining", "two", 0, 0);
    kube_events_say(l, "b", false, "Draining", "one", 0, 0);
    kube_events_say(l, "a", true, "Draining", "one", 0, 0);
    kube_events_say(l, "a", false, "Changing", "one", 0, 0);
    assert_int_equal(write_all(l, 0), 5);
    kube_events_say(l, "a", false, "Draining", "one", KUBE_EVENTS_SERIES_MS, 0);
    assert_int_equal(write_all(l, KUBE_EVENTS_SERIES_MS), 1);
    assert_int_equal(kube_events_count(l), 1); /* the others are forgotten */
    kube_events_free(l);
}

static void one_object_has_a_budget_that_comes_back(void **state OH_UNUSED)
{
    struct kube_events *l = kube_events_new();
    int written = 0;
    for (int i = 0; i < 200; i++) {
        autofree char *note = mem_printf("reason %d", i);
        kube_events_say(l, "a", false, "Changing", note, 0, 0);
        kube_events_say(l, i ? "a" : "other", false, "Changing", note, 0, 0);
    }
    written = write_all(l, 0);
    assert_int_equal(written, KUBE_EVENTS_BURST + 1);
    kube_events_say(l, "a", false, "Changing", "later", KUBE_EVENTS_REFILL_MS - 1, 0);
    assert_int_equal(write_all(l, KUBE_EVENTS_REFILL_MS - 1), 0);
    kube_events_say(l, "a", false, "Changing", "later", KUBE_EVENTS_REFILL_MS, 0);
    assert_int_equal(write_all(l, KUBE_EVENTS_REFILL_MS), 1);
    kube_events_free(l);
}

static void memory_is_bounded(void **state OH_UNUSED)
{
    struct kube_events *l = kube_events_new();
    for (int i = 0; i < 5 * KUBE_EVENTS_MAX; i++) {
        autofree char *about = mem_printf("workload-%d", i);
        kube_events_say(l, about, false, "Placing", "it is placed", i, 0);
    }
    assert_int_equal(kube_events_count(l), KUBE_EVENTS_MAX);
    kube_events_free(l);
}

static void what_has_no_object_waits_and_is_given_up(void **state OH_UNUSED)
{
    struct kube_events *l = kube_events_new();
    kube_events_say(l, "a", false, "Placing", "it is placed", 0, 0);
    assert_null(kube_events_next(l, 0, no, NULL));
    assert_non_null(next(l, 1000));
    assert_null(kube_events_next(l, KUBE_EVENTS_GIVE_UP_MS, no, NULL));
    assert_int_equal(kube_events_count(l), 0);
    kube_events_free(l);
}

static void a_refused_write_is_given_up(void **state OH_UNUSED)
{
    struct kube_events *l = kube_events_new();
    kube_events_say(l, "a", false, "Placing", "it is placed", 0, 0);
    struct kube_event *e = next(l, 0);
    snprintf(e->name, sizeof(e->name), "x");
    e->busy = true;
    assert_null(next(l, 0)); /* under way */
    kube_events_done(l, "x", 1, false, 0);
    assert_null(next(l, 0));
    assert_int_equal(kube_events_count(l), 0);
    kube_events_free(l);
}

static void a_long_note_is_cut_between_characters(void **state OH_UNUSED)
{
    struct kube_events *l = kube_events_new();
    autobuf struct buf long_note = BUF_INIT;
    buf_addc(&long_note, 'x');
    for (int i = 0; i < 1000; i++)
        buf_adds(&long_note, "é");
    kube_events_say(l, "a", false, "Failed", long_note.data, 0, 0);
    const struct kube_event *e = next(l, 0);
    size_t len = strlen(e->note);
    assert_in_range(len, KUBE_EVENT_NOTE_MAX - 3, KUBE_EVENT_NOTE_MAX);
    assert_int_equal((unsigned char)e->note[len - 1], 0xa9); /* a whole é at the end */
    kube_events_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_repetition_becomes_a_count),
        cmocka_unit_test(no_count_is_written_after_the_fact),
        cmocka_unit_test(a_repetition_before_the_answer_is_written_behind_it),
        cmocka_unit_test(what_differs_or_is_long_ago_is_another_event),
        cmocka_unit_test(one_object_has_a_budget_that_comes_back),
        cmocka_unit_test(memory_is_bounded),
        cmocka_unit_test(what_has_no_object_waits_and_is_given_up),
        cmocka_unit_test(a_refused_write_is_given_up),
        cmocka_unit_test(a_long_note_is_cut_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
