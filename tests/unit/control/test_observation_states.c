/* What an agent reports, taken up into the rows of a real store: states, the end of a service, crossing commands. */
#include "control/controller/observation.h"

#include "control/lifecycle.h"
#include "control_fixture.h"

#define SERVICE "00000000-0000-4000-8000-00000000000b"
#define FIRST "00000000-0000-4000-8000-00000000000a"
#define NOW_MS 5000

struct fixture {
    char *dir, *path;
    struct store *store;
    struct clock_manual clock;
};

static int setup(void **state)
{
    struct fixture *f = mem_alloc(sizeof(*f));
    void *dir = NULL;
    if (scratch_setup(&dir) < 0)
        return -1;
    f->dir = dir;
    f->path = mem_printf("%s/control.db", f->dir);
    clock_manual_init(&f->clock, NOW_MS);
    f->store = new_store(f->path);
    sql(f->store,
        "INSERT INTO service (id, organization_id, infrastructure_id, name, slug, ordinal, state, want, spec, "
        "password_sha256, created_at, updated_at) VALUES ('" SERVICE "', '" ORG "', '" INFRA
        "', 's', 's', 1, 'provisioning', 'running', '{}', '', 0, 0)");
    sql(f->store,
        "INSERT INTO desired_document (infrastructure_id, version, body, content_digest, signature, created_at) "
        "VALUES ('" INFRA "', 1, '{\"services\":[{\"id\":\"" SERVICE "\",\"deleteData\":false}]}', '', '', 0)");
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    void *dir = f->dir;
    store_close(f->store);
    free(f->path);
    free(f);
    return scratch_teardown(&dir);
}

static void row(struct fixture *f, const char *state, const char *want)
{
    autofree char *text =
        mem_printf("UPDATE service SET state = '%s', want = '%s', observed = '{}', updated_at = 0", state, want);
    sql(f->store, text);
}

static void report(struct fixture *f, const char *services)
{
    autofree char *text = mem_printf(
        "INSERT OR REPLACE INTO observed VALUES ('" INFRA "', 'agent', 1, '{\"services\":%s}', 0)", services);
    sql(f->store, text);
}

static void report_state(struct fixture *f, const char *word)
{
    autofree char *text = mem_printf("[{\"id\":\"" SERVICE "\",\"state\":\"%s\"}]", word);
    report(f, text);
}

static int apply(struct fixture *f)
{
    struct err err = ERR_INIT;
    int r = observation_apply(f->store, &f->clock.clock, INFRA, &err);
    if (r < 0)
        print_message("%s\n", err.message);
    return r;
}

/* Every state under every wish and every report gives what the lifecycle says. */
static void states_follow_the_lifecycle(void **state)
{
    struct fixture *f = *state;
    for (int s = 0; s < SERVICE_STATE_COUNT; s++)
        for (int w = 0; w < WANT_COUNT; w++)
            for (int c = REPORT_STARTING; c <= REPORT_GONE; c++) {
                if (w == WANT_DELETED && c == REPORT_GONE)
                    continue; /* the end: below */
                row(f, service_state_names[s], service_want_names[w]);
                report_state(f, service_cause_names[c]);
                assert_int_equal(apply(f), 0);
                assert_words(f->store, "SELECT state FROM service",
                             lifecycle_observed(service_state_names[s], service_want_names[w], service_cause_names[c]));
                assert_words(f->store, "SELECT want FROM service", service_want_names[w]);
            }
}

/* A report from before the command does not undo it; one from after it counts. */
static void an_old_report_of_sleep_does_not_undo_a_wake(void **state)
{
    struct fixture *f = *state;
    row(f, "awaking", "running");
    sql(f->store, "UPDATE service SET spec = '{\"awakeAskedMs\":7}'");
    report_state(f, "idle");
    assert_int_equal(apply(f), 0);
    assert_words(f->store, "SELECT state FROM service", "awaking");
    sql(f->store, "UPDATE desired_document SET body = '{\"services\":[{\"id\":\"" SERVICE
                  "\",\"idle\":{\"minutes\":5,\"awakeAsked\":7}}]}'");
    assert_int_equal(apply(f), 0);
    assert_words(f->store, "SELECT state FROM service", "idle");
    assert_words(f->store, "SELECT type FROM activity", "service_idle");
    report_state(f, "starting");
    assert_int_equal(apply(f), 0);
    assert_words(f->store, "SELECT state FROM service", "awaking");
    assert_int_equal(number(f->store, "SELECT count(*) FROM activity WHERE type = 'service_awaken'"), 1);
}

static void a_start_is_in_the_record_once(void **state)
{
    struct fixture *f = *state;
    report_state(f, "starting");
    assert_int_equal(apply(f), 0);
    assert_int_equal(number(f->store, "SELECT count(*) FROM activity"), 0);
    report_state(f, "running");
    assert_int_equal(apply(f), 0);
    assert_words(f->store, "SELECT state FROM service", "running");
    assert_words(f->store, "SELECT observed FROM service", "{\"id\":\"" SERVICE "\",\"state\":\"running\"}");
    assert_int_equal(number(f->store, "SELECT updated_at FROM service"), NOW_MS);
    assert_words(f->store, "SELECT type || ' ' || service_id || ' ' || details FROM activity",
                 "service_running " SERVICE " provisioning");
    /* News that is not a start. */
    report(f, "[{\"id\":\"" SERVICE "\",\"state\":\"running\",\"replicas\":[]}]");
    assert_int_equal(apply(f), 0);
    assert_int_equal(number(f->store, "SELECT count(*) FROM activity"), 1);
}

static void nothing_new_writes_nothing(void **state)
{
    struct fixture *f = *state;
    report_state(f, "running");
    assert_int_equal(apply(f), 0);
    /* Another connection sees a new data_version after any commit. */
    autostore struct store *other = NULL;
    assert_int_equal(store_open(f->path, STORE_EXISTING, &other, NULL), 0);
    int64_t before = number(other, "PRAGMA data_version");
    clock_manual_advance(&f->clock, 60000);
    for (int i = 0; i < 3; i++)
        assert_int_equal(apply(f), 0);
    assert_int_equal(number(other, "PRAGMA data_version"), before);
    assert_int_equal(number(f->store, "SELECT updated_at FROM service"), NOW_MS);
}

static void gone_ends_only_what_was_to_be_deleted(void **state)
{
    struct fixture *f = *state;
    static const char *const wants[] = {"running", "stopped"};
    for (size_t i = 0; i < ARRAY_SIZE(wants); i++) {
        row(f, "running", wants[i]);
        report_state(f, "gone");
        assert_int_equal(apply(f), 0);
        assert_int_equal(number(f->store, "SELECT count(*) FROM service"), 1);
    }
    row(f, "terminating", "deleted");
    report_state(f, "stopped");
    assert_int_equal(apply(f), 0);
    assert_int_equal(number(f->store, "SELECT count(*) FROM service"), 1);
    sql(f->store, "DELETE FROM activity");
    report_state(f, "gone");
    assert_int_equal(apply(f), 0);
    assert_int_equal(number(f->store, "SELECT count(*) FROM service"), 0);
    assert_words(f->store,
                 "SELECT type || ' ' || actor_type || ' ' || organization_id || ' ' || service_id || ' ' || "
                 "infrastructure_id || ' ' || created_at FROM activity",
                 "service_delete system " ORG " " SERVICE " " INFRA " 5000");
    assert_int_equal(apply(f), 0);
    assert_int_equal(number(f->store, "SELECT count(*) FROM activity"), 1);
}

static void the_end_and_its_record_are_one(void **state)
{
    struct fixture *f = *state;
    row(f, "terminating", "deleted");
    report_state(f, "gone");
    sql(f->store, "CREATE TRIGGER full BEFORE INSERT ON activity BEGIN SELECT RAISE(ABORT, 'no room'); END");
    assert_true(apply(f) < 0);
    assert_int_equal(number(f->store, "SELECT count(*) FROM service"), 1);
    /* The same of a start. */
    row(f, "starting", "running");
    report_state(f, "running");
    assert_true(apply(f) < 0);
    assert_words(f->store, "SELECT state FROM service", "starting");
    sql(f->store, "DROP TRIGGER full");
    assert_int_equal(apply(f), 0);
    assert_words(f->store, "SELECT state FROM service", "running");
}

/* A second service whose turn comes first, whatever the rows are read by; its update runs what a user says meanwhile.
 */
static void between_read_and_write(struct fixture *f, const char *user)
{
    autofree char *trigger =
        mem_printf("CREATE TRIGGER meanwhile AFTER UPDATE OF observed ON service WHEN new.id = '" FIRST "' "
                   "BEGIN UPDATE service SET %s WHERE id = '" SERVICE "'; END",
                   user);
    sql(f->store, "UPDATE service SET rowid = 100");
    sql(f->store,
        "INSERT INTO service (rowid, id, organization_id, infrastructure_id, name, slug, ordinal, state, want, "
        "spec, password_sha256, created_at, updated_at) VALUES (1, '" FIRST "', '" ORG "', '" INFRA
        "', 'a', 'a', 0, 'starting', 'running', '{}', '', 0, 0)");
    sql(f->store, trigger);
}

static void both_report(struct fixture *f, const char *word)
{
    autofree char *text = mem_printf("[{\"id\":\"" FIRST "\",\"state\":\"degraded\"},"
                                     "{\"id\":\"" SERVICE "\",\"state\":\"%s\"}]",
                                     word);
    report(f, text);
    assert_int_equal(apply(f), 0);
    assert_words(f->store, "SELECT state FROM service WHERE slug = 'a'", "degraded");
}

static void a_users_word_in_between_stands(void **state)
{
    struct fixture *f = *state;
    row(f, "starting", "running");
    between_read_and_write(f, "state = 'stopping', want = 'stopped'");
    both_report(f, "running");
    assert_words(f->store, "SELECT state || ' ' || want FROM service WHERE slug = 's'", "stopping stopped");
    assert_int_equal(number(f->store, "SELECT count(*) FROM activity"), 0);
}

/* Deleted and asked back between our read and our write: nothing is removed, and no removal is recorded. */
static void a_row_that_is_wanted_again_stays(void **state)
{
    struct fixture *f = *state;
    row(f, "terminating", "deleted");
    between_read_and_write(f, "state = 'starting', want = 'running'");
    both_report(f, "gone");
    assert_words(f->store, "SELECT state || ' ' || want FROM service WHERE slug = 's'", "starting running");
    assert_int_equal(number(f->store, "SELECT count(*) FROM activity"), 0);
}

/* The state may be the same under another wish (a stopping service that is to be deleted). */
static void a_changed_wish_alone_is_a_users_word(void **state)
{
    struct fixture *f = *state;
    row(f, "failed", "running");
    between_read_and_write(f, "want = 'stopped'");
    both_report(f, "running");
    assert_words(f->store, "SELECT state || ' ' || want FROM service WHERE slug = 's'", "failed stopped");
}

static void strange_reports_change_nothing(void **state)
{
    static const char *const strange[] = {"[]",
                                          "[{}]",
                                          "[7]",
                                          "[{\"id\":7,\"state\":\"running\"}]",
                                          "[{\"id\":\"" SERVICE "\"}]",
                                          "[{\"id\":\"" SERVICE "\",\"state\":7}]",
                                          "[{\"id\":\"" INFRA "\",\"state\":\"gone\"}]"};
    struct fixture *f = *state;
    assert_int_equal(apply(f), 0); /* never reported */
    for (size_t i = 0; i < ARRAY_SIZE(strange); i++) {
        report(f, strange[i]);
        assert_int_equal(apply(f), 0);
        assert_words(f->store, "SELECT state || observed || updated_at FROM service", "provisioning{}0");
    }
    report(f, "{}");
    assert_int_equal(apply(f), -EINVAL);
    report(f, "[{]");
    assert_int_equal(apply(f), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(states_follow_the_lifecycle, setup, teardown),
        cmocka_unit_test_setup_teardown(an_old_report_of_sleep_does_not_undo_a_wake, setup, teardown),
        cmocka_unit_test_setup_teardown(a_start_is_in_the_record_once, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_new_writes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(gone_ends_only_what_was_to_be_deleted, setup, teardown),
        cmocka_unit_test_setup_teardown(the_end_and_its_record_are_one, setup, teardown),
        cmocka_unit_test_setup_teardown(a_users_word_in_between_stands, setup, teardown),
        cmocka_unit_test_setup_teardown(a_row_that_is_wanted_again_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(a_changed_wish_alone_is_a_users_word, setup, teardown),
        cmocka_unit_test_setup_teardown(strange_reports_change_nothing, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
