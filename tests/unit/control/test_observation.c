/* What an agent says of a deleted service, and when its row may go. */
#include "control/controller/observation.h"

#include "../test.h"

#define ORG "00000000-0000-4000-8000-000000000001"
#define INFRA "00000000-0000-4000-8000-000000000002"
#define SERVICE "00000000-0000-4000-8000-000000000003"

struct fixture {
    char *dir;
    struct store *store;
};

static void sql(struct store *s, const char *text)
{
    struct err err = ERR_INIT;
    if (store_exec(s, text, STORE_NO_ARGS, NULL, &err) < 0)
        fail_msg("%s: %s", text, err.message);
}

static int64_t number(struct store *s, const char *text)
{
    autorows struct store_rows *rows = NULL;
    assert_int_equal(store_query(s, text, STORE_NO_ARGS, &rows, NULL), 0);
    assert_int_equal(store_next(rows, NULL), 1);
    return store_column_int(rows, 0);
}

static int setup(void **state)
{
    struct fixture *f = mem_alloc(sizeof(*f));
    void *dir = NULL;
    if (scratch_setup(&dir) < 0)
        return -1;
    f->dir = dir;
    autofree char *path = mem_printf("%s/control.db", f->dir);
    if (store_open(path, STORE_CREATE, &f->store, NULL) < 0)
        return -1;
    sql(f->store, "INSERT INTO organization (id, name, created_at) VALUES ('" ORG "', 'o', 0)");
    sql(f->store, "INSERT INTO account (id, organization_id, name, provider, config, created_at) "
                  "VALUES ('acc', '" ORG "', 'a', 'local', '{}', 0)");
    sql(f->store, "INSERT INTO infrastructure (id, organization_id, account_id, name, display_name, provider, region, "
                  "cidr, zones, domain, config, state, want, created_at) VALUES ('" INFRA "', '" ORG "', 'acc', 'n', "
                  "'x', 'local', 'l', '', '[]', 'd', '{}', 'infra-ready', 'present', 0)");
    sql(f->store, "INSERT INTO service (id, organization_id, infrastructure_id, name, slug, ordinal, state, want, "
                  "spec, password_sha256, created_at, updated_at) VALUES ('" SERVICE "', '" ORG "', '" INFRA "', 's', "
                  "'s', 1, 'terminating', 'deleted', '{}', '', 0, 0)");
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    void *dir = f->dir;
    store_close(f->store);
    free(f);
    return scratch_teardown(&dir);
}

static void document(struct store *s, int version, const char *data)
{
    autofree char *text =
        mem_printf("INSERT INTO desired_document (infrastructure_id, version, body, content_digest, "
                   "signature, created_at) VALUES ('" INFRA "', %d, '{\"services\":[{\"id\":\"" SERVICE
                   "\",\"deleteData\":%s}]}', '', '', 0) ON CONFLICT (infrastructure_id) DO UPDATE SET "
                   "version = excluded.version, body = excluded.body",
                   version, data);
    sql(s, text);
}

/* The agent of this version of the document says that the service is gone. */
static void gone(struct store *s, int version)
{
    struct err err = ERR_INIT;
    autofree char *text =
        mem_printf("INSERT INTO observed (infrastructure_id, agent_id, desired_version, body, received_at) "
                   "VALUES ('" INFRA "', 'a', %d, '{\"services\":[{\"id\":\"" SERVICE
                   "\",\"state\":\"gone\"}]}', 0) ON CONFLICT (infrastructure_id) DO UPDATE SET "
                   "desired_version = excluded.desired_version",
                   version);
    sql(s, text);
    if (observation_apply(s, &clock_system, INFRA, &err) < 0)
        fail_msg("%s", err.message);
}

#define ROWS "SELECT count(*) FROM service"
#define REMOVED "SELECT count(*) FROM activity WHERE details = 'removed'"

static void a_service_that_is_gone_leaves(void **state)
{
    struct fixture *f = *state;
    document(f->store, 4, "false");
    gone(f->store, 4);
    assert_int_equal(number(f->store, ROWS), 0);
    assert_int_equal(number(f->store, REMOVED), 1);
}

/* Deleted first without its data, which were then given up too: that it is gone was said of the first wish. The row is
 * all that says that the data must go. */
static void data_given_up_later_are_not_forgotten(void **state)
{
    struct fixture *f = *state;
    document(f->store, 4, "false");
    sql(f->store, "UPDATE service SET delete_data = 1");
    gone(f->store, 4);
    assert_int_equal(number(f->store, ROWS), 1);
    document(f->store, 5, "true");
    gone(f->store, 4);
    assert_int_equal(number(f->store, ROWS), 1);
    assert_int_equal(number(f->store, REMOVED), 0);
    gone(f->store, 5);
    assert_int_equal(number(f->store, ROWS), 0);
    assert_int_equal(number(f->store, REMOVED), 1);
}

static void released(struct store *s, const char *release)
{
    struct err err = ERR_INIT;
    autofree char *text = mem_printf(
        "INSERT INTO observed (infrastructure_id, agent_id, desired_version, body, received_at) "
        "VALUES ('" INFRA "', 'a', 1, '{\"services\":[]%s}', 0) ON CONFLICT (infrastructure_id) DO UPDATE SET "
        "body = excluded.body",
        release);
    sql(s, text);
    if (observation_apply(s, &clock_system, INFRA, &err) < 0)
        fail_msg("%s", err.message);
}

#define RELEASES "SELECT count(*) FROM activity WHERE type = 'agent_release' AND infrastructure_id = '" INFRA "'"

/* However often it is reported. What the customer withholds is not told. */
static void each_release_of_the_agent_is_one_activity(void **state)
{
    static const char taken[] =
        ",\"release\":{\"result\":\"taken\",\"what\":\"r@sha256:aa\",\"why\":\"\",\"at\":\"t1\"}",
                      back[] = ",\"release\":{\"result\":\"rolled-back\",\"what\":\"r@sha256:bb\",\"why\":\"no link\","
                               "\"at\":\"t2\"}";
    struct fixture *f = *state;
    released(f->store, "");
    released(f->store, ",\"release\":{}");
    assert_int_equal(number(f->store, RELEASES), 0);
    released(f->store, taken);
    released(f->store, taken);
    released(f->store, "");
    released(f->store, taken);
    assert_int_equal(number(f->store, RELEASES " AND details = 'taken r@sha256:aa'"), 1);
    released(f->store, back);
    assert_int_equal(number(f->store, RELEASES " AND details = 'rolled-back r@sha256:bb: no link'"), 1);
    assert_int_equal(number(f->store, RELEASES), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_service_that_is_gone_leaves, setup, teardown),
        cmocka_unit_test_setup_teardown(data_given_up_later_are_not_forgotten, setup, teardown),
        cmocka_unit_test_setup_teardown(each_release_of_the_agent_is_one_activity, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
