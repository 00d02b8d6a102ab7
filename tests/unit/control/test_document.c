/* From service rows to a signed document: a real store, and a real signer in its own process. */
#include "control/controller/document.h"

#include "base/buf.h"
#include "base/js.h"
#include "blueprint/desired.h"
#include "control/signer.h"
#include "control_fixture.h"

#define START_MS 1790000000000LL
#define SHA "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8"
#define DOUBLE_SHA "2470c0c06dee42fd1618bb99005adca2ec9d1e19"

struct fixture {
    char *dir, *path;
    struct store *store;
    struct signer_process signer;
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
    clock_manual_init(&f->clock, START_MS);
    signer_process_init(&f->signer, f->dir);
    signer_process_start(&f->signer);
    f->store = new_store(f->path);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    void *dir = f->dir;
    signer_process_close(&f->signer);
    store_close(f->store);
    free(f->path);
    free(f);
    return scratch_teardown(&dir);
}

static void add_service(struct fixture *f, int ordinal, const char *state, const char *want, const char *spec)
{
    autofree char *text = mem_printf(
        "INSERT INTO service (id, organization_id, infrastructure_id, name, slug, ordinal, state, want, spec, "
        "password_sha256, password_double_sha1, created_at, updated_at) VALUES ('00000000-0000-4000-8000-%012d', "
        "'" ORG "', '" INFRA "', 'Service %d', 'service-%d', %d, '%s', '%s', '%s', '" SHA "', '%s', 0, 0)",
        1000 + ordinal, ordinal, ordinal, ordinal, state, want, spec, ordinal % 2 ? DOUBLE_SHA : "");
    sql(f->store, text);
}

static void update(struct fixture *f, int expected)
{
    struct err err = ERR_INIT;
    int r = document_update(f->store, &f->clock.clock, f->signer.controller, INFRA, &err);
    if (r != expected)
        fail_msg("%d instead of %d: %s", r, expected, err.message);
}

/* What is stored, as an agent takes it: signature first, then the parser. */
static struct desired *stored(struct fixture *f)
{
    autofree char *pub_path = mem_printf("%s/keys/desired.pub", f->dir), *hex = NULL;
    autofree char *body = words(f->store, "SELECT body FROM desired_document"),
                  *signature = words(f->store, "SELECT signature FROM desired_document");
    unsigned char key[ED25519_PUBLIC_SIZE];
    struct desired *d = NULL;
    int64_t version = number(f->store, "SELECT version FROM desired_document");
    assert_int_equal(fs_read(pub_path, 256, &hex, NULL, NULL), 0);
    hex[64] = 0;
    assert_int_equal(hex_decode(hex, key, sizeof(key)), 0);
    assert_true(desired_signature_valid(key, INFRA, version, body, strlen(body), signature));
    assert_int_equal(desired_parse(body, strlen(body), &d, NULL), 0);
    assert_int_equal(d->version, version);
    return d;
}

static void rows_become_what_an_agent_accepts(void **state)
{
    struct fixture *f = *state;
    add_service(f, 2, "running", "running", "{\"numReplicas\":3,\"minReplicaMemoryGb\":16,\"ipAccessList\":[]}");
    add_service(f, 1, "stopping", "stopped", "{\"upgradeWindow\":{\"weekday\":3,\"startHourUtc\":18,\"duration\":6}}");
    add_service(f, 3, "terminating", "deleted", "{}");
    sql(f->store, "UPDATE service SET delete_data = 1 WHERE ordinal = 3");
    update(f, 1);
    autodesired struct desired *d = stored(f);
    assert_string_equal(d->infrastructure, INFRA);
    assert_string_equal(d->domain, "one.example");
    assert_string_equal(d->issued_at, "2026-09-21T14:13:20.000Z");
    assert_int_equal(d->n_services, 3);
    assert_string_equal(d->services[0].id, "00000000-0000-4000-8000-000000001001");
    assert_string_equal(d->services[0].name, "Service 1");
    assert_int_equal(d->services[0].state, DESIRED_STOPPED);
    assert_int_equal(d->services[0].replicas, 1);
    assert_int_equal(d->services[0].window->weekday, 3);
    assert_int_equal(d->services[0].window->start_hour, 18);
    assert_int_equal(d->services[0].window->hours, 6);
    assert_null(d->services[1].window);
    assert_int_equal(d->services[0].memory_bytes, 8LL << 30);
    assert_string_equal(d->services[0].users[0].double_sha1, DOUBLE_SHA);
    assert_string_equal(d->services[1].slug, "service-2");
    assert_int_equal(d->services[1].state, DESIRED_RUNNING);
    assert_int_equal(d->services[1].replicas, 3);
    assert_int_equal(d->services[1].memory_bytes, 16LL << 30);
    assert_int_equal(d->services[1].n_users, 1);
    assert_string_equal(d->services[1].users[0].name, "default");
    assert_string_equal(d->services[1].users[0].sha256, SHA);
    assert_null(d->services[1].users[0].double_sha1);
    assert_false(d->services[1].delete_data);
    assert_int_equal(d->services[2].state, DESIRED_DELETED);
    assert_true(d->services[2].delete_data);
}

/* The whole week goes down: the document is the same at every hour. */
static void a_schedule_goes_down_whole(void **state)
{
    struct fixture *f = *state;
    add_service(f, 1, "running", "running",
                "{\"numReplicas\":2,\"minReplicaMemoryGb\":8,\"idleScaling\":false,\"awakeAskedMs\":7,"
                "\"clickhouseSettings\":{\"max_threads\":\"2\"},\"scalingSchedule\":[{\"id\":\"x\",\"weekdays\":[0,6],"
                "\"startHourUtc\":22,\"endHourUtc\":4,\"autoscalingMode\":\"vertical\",\"minReplicaMemoryGb\":32,"
                "\"idleScaling\":true,\"idleTimeoutMinutes\":5,\"clickhouseSettings\":{\"max_threads\":\"9\"}}]}");
    update(f, 1);
    autodesired struct desired *d = stored(f);
    const struct desired_service *s = &d->services[0];
    assert_int_equal(s->replicas, 2);
    assert_int_equal(s->memory_bytes, 8LL << 30);
    assert_int_equal(s->idle_minutes, 0);
    assert_int_equal(s->awake_asked_ms, 7);
    assert_int_equal(s->n_schedule, 1);
    assert_int_equal(s->schedule[0].weekdays, 1 | 1 << 6);
    assert_int_equal(s->schedule[0].start_hour, 22);
    assert_int_equal(s->schedule[0].end_hour, 4);
    assert_int_equal(s->schedule[0].scale.replicas, 2);
    assert_int_equal(s->schedule[0].scale.memory_bytes, 32LL << 30);
    assert_int_equal(s->schedule[0].scale.idle_minutes, 5);
    assert_string_equal(s->schedule[0].scale.settings[0].value, "9");
    for (int hour = 0; hour < 168; hour += 5) {
        clock_manual_advance(&f->clock, INT64_C(5) * 3600000);
        update(f, 0);
    }
}

static void add_key(struct fixture *f, int n, const char *state, const char *sources, const char *expires)
{
    autofree char *text =
        mem_printf("INSERT INTO api_key (id, key_id_hash, organization_id, name, secret_hash, suffix, state, roles, "
                   "ip_access_list, created_at, expire_at) VALUES ('00000000-0000-4000-9000-%012d', '%064d', '" ORG
                   "', 'k', '" SHA "', 'abcd', '%s', '[]', '%s', 0, %s)",
                   n, n, state, sources, expires);
    sql(f->store, text);
}

#define KEY_ID(n) "\"00000000-0000-4000-9000-00000000000" #n "\""

static void keys_in_force_may_query(void **state)
{
    struct fixture *f = *state;
    add_key(f, 1, "enabled", "[{\"source\":\"anywhere\"},{\"source\":\"no network\"}]", "NULL");
    add_key(f, 2, "disabled", "[]", "NULL");
    add_key(f, 3, "enabled", "[]", "1790000000000");
    add_key(f, 4, "enabled", "[{\"source\":\"10.0.0.0/8\"}]", "1790000000001");
    add_service(
        f, 1, "running", "running",
        "{\"queryEndpoint\":{\"id\":\"x\",\"roles\":[\"sql_console_read_only\"],\"allowedOrigins\":\"https://"
        "a.example, "
        "*.b.example\",\"openApiKeys\":[" KEY_ID(1) "," KEY_ID(2) "," KEY_ID(3) "," KEY_ID(4) "," KEY_ID(5) "]}}");
    add_service(f, 2, "running", "running",
                "{\"queryEndpoint\":{\"id\":\"x\",\"roles\":[\"sql_console_admin\"],\"openApiKeys\":[],"
                "\"allowedOrigins\":\"\"}}");
    add_service(f, 3, "running", "running",
                "{\"queryEndpoint\":{\"id\":\"x\",\"roles\":[],\"openApiKeys\":[],\"allowedOrigins\":\"\"}}");
    update(f, 1);
    autodesired struct desired *d = stored(f);
    const struct desired_query_endpoint *e = d->services[0].query_endpoint;
    assert_non_null(e);
    assert_true(e->readonly);
    assert_int_equal(e->n_origins, 2);
    assert_string_equal(e->origins[1], "*.b.example");
    assert_int_equal(e->n_keys, 2);
    assert_string_equal(e->keys[0].id, "00000000-0000-4000-9000-000000000001");
    assert_int_equal(e->keys[0].n_networks, 2);
    assert_int_equal(e->keys[0].expires_ms, 0);
    assert_int_equal(e->keys[1].expires_ms, 1790000000001LL);
    assert_string_equal(e->keys[1].networks[0], "10.0.0.0/8");
    assert_non_null(d->services[1].query_endpoint);
    assert_false(d->services[1].query_endpoint->readonly);
    assert_null(d->services[2].query_endpoint);
    /* A key that goes takes its right with it, though the service's row has not changed. */
    sql(f->store, "DELETE FROM api_key WHERE suffix = 'abcd'");
    update(f, 1);
    autodesired struct desired *after = stored(f);
    assert_int_equal(after->services[0].query_endpoint->n_keys, 0);
}

static void only_new_content_makes_a_version(void **state)
{
    struct fixture *f = *state;
    update(f, 1);
    assert_int_equal(number(f->store, "SELECT version FROM desired_document"), 1);
    autofree char *before = words(f->store, "SELECT body || signature || created_at FROM desired_document");
    clock_manual_advance(&f->clock, 3600 * 1000);
    update(f, 0);
    assert_words(f->store, "SELECT body || signature || created_at FROM desired_document", before);
    /* States that the agent reports, and notes of ours, are no wishes. */
    add_service(f, 1, "provisioning", "running", "{}");
    update(f, 1);
    sql(f->store, "UPDATE service SET state = 'running', observed = '{\"x\":1}', updated_at = 9, generation = 7");
    update(f, 0);
    assert_int_equal(number(f->store, "SELECT version FROM desired_document"), 2);
    sql(f->store, "UPDATE service SET want = 'stopped'");
    update(f, 1);
    sql(f->store, "UPDATE service SET want = 'running'");
    update(f, 1); /* back to old content is still a new version */
    assert_int_equal(number(f->store, "SELECT version FROM desired_document"), 4);
    autodesired struct desired *d = stored(f);
    assert_string_equal(d->issued_at, "2026-09-21T15:13:20.000Z");
}

static void a_terminated_service_is_left_out(void **state)
{
    struct fixture *f = *state;
    add_service(f, 1, "terminated", "deleted", "{}");
    add_service(f, 2, "terminating", "deleted", "{}");
    update(f, 1);
    autodesired struct desired *d = stored(f);
    assert_int_equal(d->n_services, 1);
    assert_int_equal(d->services[0].ordinal, 2);
}

static void access_lists_take_every_form(void **state)
{
    static const char *const expected[] = {"0.0.0.0/0", "::/0", "192.0.2.0/24", "192.0.2.7", "2001:db8::/32"};
    struct fixture *f = *state;
    add_service(f, 1, "running", "running",
                "{\"ipAccessList\":[{\"source\":\"anywhere\",\"description\":\"all\"},{\"source\":\"192.0.2.0/24\"},"
                "{\"source\":\"192.0.2.7\"},{\"description\":\"no source\"},{\"source\":\"2001:db8::/32\"}]}");
    update(f, 1);
    autodesired struct desired *d = stored(f);
    assert_int_equal(d->services[0].n_ip_access_list, ARRAY_SIZE(expected));
    for (size_t i = 0; i < ARRAY_SIZE(expected); i++)
        assert_string_equal(d->services[0].ip_access_list[i], expected[i]);
}

static void what_an_agent_would_refuse_is_not_signed(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    add_service(f, 1, "running", "running", "{\"ipAccessList\":[{\"source\":\"somewhere\"}]}");
    assert_int_equal(document_update(f->store, &f->clock.clock, f->signer.controller, INFRA, &err), -EINVAL);
    assert_non_null(strstr(err.message, "ipAccessList[0]"));
    sql(f->store, "UPDATE service SET spec = '{\"ipAccessList\":[{\"source\":7}]}'");
    assert_int_equal(document_update(f->store, &f->clock.clock, f->signer.controller, INFRA, &err), -EINVAL);
    sql(f->store, "UPDATE service SET spec = '{'");
    assert_int_equal(document_update(f->store, &f->clock.clock, f->signer.controller, INFRA, &err), -EINVAL);
    assert_non_null(strstr(err.message, "000000001001"));
    assert_int_equal(number(f->store, "SELECT count(*) FROM desired_document"), 0);
    autofree char *memory = mem_printf("%s/keys/signed/" INFRA, f->dir);
    assert_false(fs_exists(memory));
    assert_int_equal(
        document_update(f->store, &f->clock.clock, f->signer.controller, "00000000-0000-4000-8000-0000000000ff", &err),
        -ENOENT);
}

static void a_crash_between_signing_and_storing_goes_on(void **state)
{
    struct fixture *f = *state;
    char signature[129];
    static const char digest[65] = SHA;
    update(f, 1);
    /* The signer signed version 2, and nobody stored it. */
    assert_int_equal(signer_desired(f->signer.controller, INFRA, 2, digest, signature, NULL), 0);
    add_service(f, 1, "running", "running", "{}");
    update(f, 1);
    assert_int_equal(number(f->store, "SELECT version FROM desired_document"), 3);
    desired_free(stored(f));
}

static void a_store_from_an_old_backup_catches_up(void **state)
{
    struct fixture *f = *state;
    char signature[129];
    static const char digest[65] = SHA;
    update(f, 1);
    assert_int_equal(signer_desired(f->signer.controller, INFRA, 5000, digest, signature, NULL), 0);
    add_service(f, 1, "running", "running", "{}");
    update(f, 1);
    assert_true(number(f->store, "SELECT version FROM desired_document") > 5000);
    desired_free(stored(f));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(rows_become_what_an_agent_accepts, setup, teardown),
        cmocka_unit_test_setup_teardown(a_schedule_goes_down_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(keys_in_force_may_query, setup, teardown),
        cmocka_unit_test_setup_teardown(only_new_content_makes_a_version, setup, teardown),
        cmocka_unit_test_setup_teardown(a_terminated_service_is_left_out, setup, teardown),
        cmocka_unit_test_setup_teardown(access_lists_take_every_form, setup, teardown),
        cmocka_unit_test_setup_teardown(what_an_agent_would_refuse_is_not_signed, setup, teardown),
        cmocka_unit_test_setup_teardown(a_crash_between_signing_and_storing_goes_on, setup, teardown),
        cmocka_unit_test_setup_teardown(a_store_from_an_old_backup_catches_up, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
