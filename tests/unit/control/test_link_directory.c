/* The link role's statements against a real store: enrolment, its races and repeats, documents, presence. */
#include "control/link/directory.h"

#include "../test.h"
#include "base/log.h"

#include <pthread.h>

#define ORG "00000000-0000-4000-8000-000000000001"
#define INFRA "00000000-0000-4000-8000-000000000002"
#define OTHER_INFRA "00000000-0000-4000-8000-000000000003"
#define HASH "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define SPKI "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define SPKI2 "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
#define RACERS 100

struct fixture {
    char *dir, *path;
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

static void add_infrastructure(struct store *s, const char *id, const char *name)
{
    autofree char *text = mem_printf(
        "INSERT INTO infrastructure (id, organization_id, account_id, name, display_name, provider, region, cidr, "
        "zones, domain, config, state, want, created_at) VALUES ('%s', '" ORG "', 'acc', '%s', 'x', 'local', 'l', '', "
        "'[]', '%s', '{}', 'infra-ready', 'present', 0)",
        id, name, name);
    sql(s, text);
}

static int setup(void **state)
{
    struct fixture *f = mem_alloc(sizeof(*f));
    void *dir = NULL;
    struct err err = ERR_INIT;
    if (scratch_setup(&dir) < 0)
        return -1;
    f->dir = dir;
    f->path = mem_printf("%s/control.db", f->dir);
    if (store_open(f->path, STORE_CREATE, &f->store, &err) < 0) {
        print_error("%s\n", err.message);
        return -1;
    }
    sql(f->store, "INSERT INTO organization (id, name, created_at) VALUES ('" ORG "', 'o', 0)");
    sql(f->store, "INSERT INTO account (id, organization_id, name, provider, config, created_at) "
                  "VALUES ('acc', '" ORG "', 'a', 'local', '{}', 0)");
    add_infrastructure(f->store, INFRA, "one");
    add_infrastructure(f->store, OTHER_INFRA, "two");
    sql(f->store, "INSERT INTO enrolment_token (hash, infrastructure_id, created_at, expires_at) "
                  "VALUES ('" HASH "', '" INFRA "', 0, 1000)");
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

static int enrol(struct store *s, const char *hash, const char *spki, int64_t now, char agent[UUID_SIZE],
                 struct err *err)
{
    char infrastructure[UUID_SIZE];
    uuid_new(agent);
    *err = ERR_INIT;
    assert_int_equal(store_begin(s, err), 0);
    int r = directory_enrol(s, hash, spki, "host", now, agent, infrastructure, err);
    if (r < 0)
        store_rollback(s);
    else
        assert_int_equal(store_commit(s, err), 0);
    if (r == 0)
        assert_string_equal(infrastructure, INFRA);
    return r;
}

static void a_token_works_once(void **state)
{
    struct fixture *f = *state;
    char one[UUID_SIZE], two[UUID_SIZE];
    struct err err, unknown;
    assert_int_equal(enrol(f->store, HASH, SPKI, 10, one, &err), 0);
    assert_int_equal(enrol(f->store, HASH, SPKI2, 11, two, &err), -EACCES);
    assert_int_equal(number(f->store, "SELECT count(*) FROM agent"), 1);
    assert_int_equal(number(f->store, "SELECT used_at FROM enrolment_token"), 10);
    /* Used and unknown sound the same. */
    assert_int_equal(enrol(f->store, SPKI2, SPKI, 10, two, &unknown), -EACCES);
    assert_string_equal(err.message, unknown.message);
}

static void the_same_key_may_repeat_within_the_lifetime(void **state)
{
    struct fixture *f = *state;
    char one[UUID_SIZE], two[UUID_SIZE];
    struct err err;
    assert_int_equal(enrol(f->store, HASH, SPKI, 10, one, &err), 0);
    assert_int_equal(enrol(f->store, HASH, SPKI, 999, two, &err), 0);
    assert_string_equal(one, two);
    assert_int_equal(number(f->store, "SELECT count(*) FROM agent"), 1);
    assert_int_equal(enrol(f->store, HASH, SPKI, 1000, two, &err), -EACCES);
    /* A revoked agent does not come back by its old token. */
    sql(f->store, "UPDATE agent SET state = 'revoked'");
    assert_int_equal(enrol(f->store, HASH, SPKI, 20, two, &err), -EACCES);
}

static void an_expired_token_is_not_consumed(void **state)
{
    struct fixture *f = *state;
    char one[UUID_SIZE];
    struct err err;
    assert_int_equal(enrol(f->store, HASH, SPKI, 1000, one, &err), -EACCES);
    assert_int_equal(number(f->store, "SELECT count(*) FROM enrolment_token WHERE used_at IS NULL"), 1);
    assert_int_equal(number(f->store, "SELECT count(*) FROM agent"), 0);
}

static void a_token_for_a_removed_infrastructure_is_worth_nothing(void **state)
{
    struct fixture *f = *state;
    char one[UUID_SIZE];
    struct err err;
    sql(f->store, "UPDATE infrastructure SET state = 'infra-terminated' WHERE id = '" INFRA "'");
    assert_int_equal(enrol(f->store, HASH, SPKI, 10, one, &err), -EACCES);
    assert_int_equal(number(f->store, "SELECT count(*) FROM agent"), 0);
}

struct racer {
    pthread_t thread;
    const char *path;
    pthread_barrier_t *start;
    char spki[65];
    int result;
};

static void *race(void *arg)
{
    struct racer *r = arg;
    struct store *s = NULL;
    char agent[UUID_SIZE], infrastructure[UUID_SIZE];
    r->result = store_open(r->path, STORE_EXISTING, &s, NULL);
    pthread_barrier_wait(r->start);
    if (r->result == 0)
        r->result = store_begin(s, NULL);
    uuid_new(agent);
    if (r->result == 0)
        r->result = directory_enrol(s, HASH, r->spki, "racer", 10, agent, infrastructure, NULL);
    if (r->result == 0)
        r->result = store_commit(s, NULL);
    else if (s)
        store_rollback(s);
    store_close(s);
    return NULL;
}

/* TS-2025-007: a check and a use with a gap between them let one token make two. */
static void a_hundred_racers_make_one_agent(void **state)
{
    struct fixture *f = *state;
    static struct racer racers[RACERS];
    pthread_barrier_t start;
    int won = 0, refused = 0;
    pthread_barrier_init(&start, NULL, RACERS);
    for (int i = 0; i < RACERS; i++) {
        racers[i].path = f->path;
        racers[i].start = &start;
        snprintf(racers[i].spki, sizeof(racers[i].spki), "%064d", i);
        assert_int_equal(pthread_create(&racers[i].thread, NULL, race, &racers[i]), 0);
    }
    for (int i = 0; i < RACERS; i++) {
        pthread_join(racers[i].thread, NULL);
        won += racers[i].result == 0;
        refused += racers[i].result == -EACCES;
    }
    pthread_barrier_destroy(&start);
    assert_int_equal(won, 1);
    assert_int_equal(refused, RACERS - 1);
    assert_int_equal(number(f->store, "SELECT count(*) FROM agent"), 1);
}

static void documents_are_of_ones_own_infrastructure(void **state)
{
    struct fixture *f = *state;
    char agent[UUID_SIZE];
    struct err err;
    struct directory_agent a;
    struct directory_document d = {0};
    assert_int_equal(enrol(f->store, HASH, SPKI, 10, agent, &err), 0);
    assert_int_equal(directory_agent(f->store, agent, &a, NULL), 0);
    assert_string_equal(a.infrastructure, INFRA);
    assert_int_equal(a.desired_version, 0);
    sql(f->store, "INSERT INTO desired_document (infrastructure_id, version, body, content_digest, signature, "
                  "created_at) VALUES ('" INFRA "', 4, 'mine', '', 's', 0), ('" OTHER_INFRA "', 9, 'theirs', '', 's', "
                  "0)");
    assert_int_equal(directory_agent(f->store, agent, &a, NULL), 0);
    assert_int_equal(a.desired_version, 4);
    assert_int_equal(directory_document(f->store, a.infrastructure, 4, &d, NULL), 0);
    assert_int_equal(directory_document(f->store, a.infrastructure, 3, &d, NULL), 1);
    assert_string_equal(d.body, "mine");
    free(d.body);
}

static void revoked_and_unknown_are_told_apart(void **state)
{
    struct fixture *f = *state;
    char agent[UUID_SIZE];
    struct err err;
    struct directory_agent a;
    assert_int_equal(directory_agent(f->store, INFRA, &a, &err), -ENOENT);
    assert_int_equal(enrol(f->store, HASH, SPKI, 10, agent, &err), 0);
    assert_int_equal(directory_certified(f->store, agent, SPKI2, 500, NULL), 0);
    sql(f->store, "UPDATE agent SET state = 'revoked'");
    assert_int_equal(directory_agent(f->store, agent, &a, &err), -EACCES);
    /* A renewal under way when the revocation came is not handed out. */
    assert_int_equal(directory_certified(f->store, agent, SPKI, 900, NULL), -ENOENT);
    assert_int_equal(number(f->store, "SELECT certificate_not_after FROM agent"), 500);
}

static void presence_and_scan(void **state)
{
    struct fixture *f = *state;
    struct directory_presence p = {.connected = true, .since_ms = 5, .seen_ms = 6, .round_trip_us = 700};
    autofree struct directory_state *states = NULL;
    struct directory_state *after = NULL;
    struct err err;
    size_t n = 99;
    assert_int_equal(enrol(f->store, HASH, SPKI, 10, p.agent, &err), 0);
    assert_int_equal(directory_states(f->store, &states, &n, NULL), 0);
    assert_int_equal(n, 0);
    strcpy(p.version, "0.1.0");
    assert_int_equal(directory_presence(f->store, &p, NULL), 0);
    assert_int_equal(directory_states(f->store, &states, &n, NULL), 0);
    assert_int_equal(n, 1);
    assert_string_equal(states[0].agent, p.agent);
    assert_string_equal(states[0].infrastructure, INFRA);
    assert_false(states[0].revoked);
    /* What is not known any more leaves the last value. */
    p.connected = false;
    p.round_trip_us = -1;
    p.version[0] = '\0';
    assert_int_equal(directory_presence(f->store, &p, NULL), 0);
    assert_int_equal(number(f->store, "SELECT round_trip_us FROM agent"), 700);
    assert_int_equal(number(f->store, "SELECT version = '0.1.0' FROM agent"), 1);
    assert_int_equal(directory_states(f->store, &after, &n, NULL), 0);
    assert_int_equal(n, 0);
    free(after);
    sql(f->store, "UPDATE agent SET connected_since = 9");
    assert_int_equal(directory_reset(f->store, NULL), 0);
    assert_int_equal(number(f->store, "SELECT connected_since IS NULL FROM agent"), 1);
}

/* Removal of an infrastructure revokes its agents and clears their presence at once: they must be seen all the same, or
 * a connection that no scan had met before would live on. */
static void a_revoked_agent_is_scanned_without_presence(void **state)
{
    struct fixture *f = *state;
    char agent[UUID_SIZE];
    autofree struct directory_state *states = NULL;
    struct err err;
    size_t n = 0;
    assert_int_equal(enrol(f->store, HASH, SPKI, 10, agent, &err), 0);
    sql(f->store, "UPDATE agent SET state = 'revoked', connected_since = NULL");
    assert_int_equal(directory_states(f->store, &states, &n, NULL), 0);
    assert_int_equal(n, 1);
    assert_true(states[0].revoked);
}

static void the_latest_report_stays(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(directory_observed(f->store, INFRA, "a", 1, "{}", 5, NULL), 0);
    assert_int_equal(directory_observed(f->store, INFRA, "a", 2, "{\"x\":1}", 6, NULL), 0);
    assert_int_equal(number(f->store, "SELECT desired_version FROM observed WHERE body = '{\"x\":1}'"), 2);
    assert_int_equal(number(f->store, "SELECT count(*) FROM observed"), 1);
}

#define WITH_STORE(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_STORE(a_token_works_once),
        WITH_STORE(the_same_key_may_repeat_within_the_lifetime),
        WITH_STORE(an_expired_token_is_not_consumed),
        WITH_STORE(a_token_for_a_removed_infrastructure_is_worth_nothing),
        WITH_STORE(a_hundred_racers_make_one_agent),
        WITH_STORE(documents_are_of_ones_own_infrastructure),
        WITH_STORE(revoked_and_unknown_are_told_apart),
        WITH_STORE(presence_and_scan),
        WITH_STORE(a_revoked_agent_is_scanned_without_presence),
        WITH_STORE(the_latest_report_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
