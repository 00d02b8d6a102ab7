/* control/identity: API keys in the store, first set-up and new keys. */
#include "../test.h"

#include "control/identity/api_key.h"
#include "control/identity/init.h"
#include "control/identity/roles.h"

#include <sys/stat.h>

struct home {
    struct control_config config;
    char *credentials, *other, *db;
};

static struct home open_home(void **state)
{
    return (struct home){.config = {.state_dir = mem_printf("%s/control", (char *)*state)},
                         .credentials = mem_printf("%s/credentials.json", (char *)*state),
                         .other = mem_printf("%s/other.json", (char *)*state),
                         .db = mem_printf("%s/control/store/control.db", (char *)*state)};
}

static void close_home(struct home *h)
{
    free(h->config.state_dir);
    free(h->credentials);
    free(h->other);
    free(h->db);
}

static json_t *load(const char *path)
{
    autofree char *text = NULL;
    size_t len;
    json_t *v = NULL;
    assert_int_equal(fs_read_secret(path, KIB(4), &text, &len, NULL), 0);
    assert_int_equal(js_parse(text, len, KIB(4), &v, NULL), 0);
    return v;
}

static const char *get(const json_t *v, const char *name)
{
    return json_string_value(json_object_get(v, name));
}

static int64_t count(const char *db, const char *sql)
{
    autostore struct store *s = NULL;
    autorows struct store_rows *rows = NULL;
    assert_int_equal(store_open(db, STORE_EXISTING, &s, NULL), 0);
    assert_int_equal(store_query(s, sql, STORE_NO_ARGS, &rows, NULL), 0);
    assert_int_equal(store_next(rows, NULL), 1);
    int64_t n = store_column_int(rows, 0);
    store_rows_close(TAKE_PTR(rows));
    return n;
}

static int authenticate(const char *db, const char *key_id, const char *secret, const char *address, int64_t now)
{
    autostore struct store *s = NULL;
    autoidentity struct identity who = {0};
    struct clock_manual clock;
    clock_manual_init(&clock, now);
    assert_int_equal(store_open(db, STORE_EXISTING, &s, NULL), 0);
    return api_key_authenticate(s, &clock.clock, key_id, secret, address, &who, NULL);
}

#define NOW 1800000000000LL

static void init_makes_one_of_each_and_the_key_works(void **state)
{
    struct home h = open_home(state);
    struct stat st;
    assert_int_equal(control_init(&h.config, h.credentials, NULL), 0);
    assert_int_equal(stat(h.credentials, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    autojson json_t *c = load(h.credentials);
    assert_int_equal(count(h.db, "SELECT count(*) FROM organization"), 1);
    assert_int_equal(count(h.db, "SELECT count(*) FROM member m JOIN user u ON u.id = m.user_id"), 1);
    assert_int_equal(authenticate(h.db, get(c, "keyId"), get(c, "keySecret"), "1.2.3.4", NOW), 0);
    assert_int_equal(authenticate(h.db, get(c, "keyId"), get(c, "keyId"), "1.2.3.4", NOW), -EACCES);
    assert_int_equal(authenticate(h.db, get(c, "keySecret"), get(c, "keySecret"), "1.2.3.4", NOW), -EACCES);
    close_home(&h);
}

/* No secret of the credentials file is in any file below the state folder. */
static void secrets_are_not_stored(void **state)
{
    struct home h = open_home(state);
    static const char *const names[] = {"password", "keyId", "keySecret"};
    assert_int_equal(control_init(&h.config, h.credentials, NULL), 0);
    autojson json_t *c = load(h.credentials);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        autofree char *cmd = mem_printf("grep -rqF '%s' %s", get(c, names[i]), h.config.state_dir);
        assert_int_not_equal(system(cmd), 0);
    }
    autofree char *cmd = mem_printf("grep -rqF '%s' %s", get(c, "organizationId"), h.config.state_dir);
    assert_int_equal(system(cmd), 0); /* the search itself finds what is there */
    close_home(&h);
}

static void init_again_changes_nothing(void **state)
{
    struct home h = open_home(state);
    assert_int_equal(control_init(&h.config, h.credentials, NULL), 0);
    autojson json_t *before = load(h.credentials);
    assert_int_equal(control_init(&h.config, h.credentials, NULL), 0);
    autojson json_t *after = load(h.credentials);
    assert_true(json_equal(before, after));
    assert_int_equal(count(h.db, "SELECT count(*) FROM api_key"), 1);
    close_home(&h);
}

/* The crash between file and commit: the file is there, the store is empty. */
static void init_goes_on_after_a_crash(void **state)
{
    struct home h = open_home(state);
    assert_int_equal(control_init(&h.config, h.credentials, NULL), 0);
    autojson json_t *before = load(h.credentials);
    assert_int_equal(fs_remove_tree(h.config.state_dir, NULL), 0);
    assert_int_equal(control_init(&h.config, h.credentials, NULL), 0);
    autojson json_t *after = load(h.credentials);
    assert_true(json_equal(before, after));
    assert_int_equal(authenticate(h.db, get(before, "keyId"), get(before, "keySecret"), "", NOW), 0);
    close_home(&h);
}

static void lost_file_says_how_to_get_a_key(void **state)
{
    struct home h = open_home(state);
    struct err err = ERR_INIT;
    assert_int_equal(control_init(&h.config, h.credentials, NULL), 0);
    assert_int_equal(unlink(h.credentials), 0);
    assert_int_equal(control_init(&h.config, h.credentials, &err), -ENOENT);
    assert_non_null(strstr(err.message, "ownhouse-control new-key"));
    assert_int_equal(control_new_key(&h.config, h.credentials, NULL), 0);
    assert_int_equal(control_new_key(&h.config, h.credentials, NULL), 0); /* repeated: the same key */
    assert_int_equal(count(h.db, "SELECT count(*) FROM api_key"), 2);
    autojson json_t *c = load(h.credentials);
    assert_null(get(c, "password"));
    assert_int_equal(authenticate(h.db, get(c, "keyId"), get(c, "keySecret"), "", NOW), 0);
    assert_int_equal(control_init(&h.config, h.credentials, NULL), 0);
    close_home(&h);
}

static void new_key_needs_a_set_up_control_plane(void **state)
{
    struct home h = open_home(state);
    struct err err = ERR_INIT;
    assert_int_equal(control_new_key(&h.config, h.credentials, &err), -ENOENT);
    assert_false(fs_exists(h.credentials));
    close_home(&h);
}

static void foreign_and_open_files_are_refused(void **state)
{
    struct home h = open_home(state);
    struct err err = ERR_INIT;
    static const char foreign[] = "{\"organizationId\":\"0b5e0000-0000-4000-8000-0000000000aa\",\"keyId\":\"x\","
                                  "\"keySecret\":\"y\",\"password\":\"z\",\"email\":\"e@x\"}";
    assert_int_equal(control_init(&h.config, h.credentials, NULL), 0);
    assert_int_equal(fs_write_atomic(h.other, foreign, strlen(foreign), 0600, NULL), 0);
    assert_int_equal(control_init(&h.config, h.other, &err), -EEXIST);
    assert_int_equal(control_new_key(&h.config, h.other, &err), -EEXIST);
    assert_int_equal(fs_write_atomic(h.other, "{", 1, 0600, NULL), 0);
    assert_int_equal(control_new_key(&h.config, h.other, &err), -EINVAL);
    assert_int_equal(chmod(h.credentials, 0644), 0);
    assert_int_equal(control_init(&h.config, h.credentials, &err), -EPERM);
    assert_int_equal(count(h.db, "SELECT count(*) FROM api_key"), 1);
    close_home(&h);
}

static void change_key(const char *db, const char *sql, const char *value)
{
    autostore struct store *s = NULL;
    assert_int_equal(store_open(db, STORE_EXISTING, &s, NULL), 0);
    assert_int_equal(store_exec(s, sql, STORE_ARGS(store_text(value)), NULL, NULL), 0);
}

static void keys_end_by_state_time_and_address(void **state)
{
    struct home h = open_home(state);
    assert_int_equal(control_init(&h.config, h.credentials, NULL), 0);
    autojson json_t *c = load(h.credentials);
    const char *id = get(c, "keyId"), *secret = get(c, "keySecret");
    change_key(h.db, "UPDATE api_key SET ip_access_list = $1", "[{\"source\":\"10.0.0.0/8\"}]");
    assert_int_equal(authenticate(h.db, id, secret, "10.9.9.9", NOW), 0);
    assert_int_equal(authenticate(h.db, id, secret, "11.0.0.1", NOW), -EPERM);
    assert_int_equal(authenticate(h.db, id, "wrong", "11.0.0.1", NOW), -EACCES);
    change_key(
        h.db, "UPDATE api_key SET ip_access_list = '[{\"source\":\"anywhere\"}]', expire_at = 1800000000000 + $1", "1");
    assert_int_equal(authenticate(h.db, id, secret, "", NOW), 0);
    assert_int_equal(authenticate(h.db, id, secret, "", NOW + 1), -EACCES);
    change_key(h.db, "UPDATE api_key SET expire_at = NULL, state = $1", "disabled");
    assert_int_equal(authenticate(h.db, id, secret, "", NOW), -EACCES);
    close_home(&h);
}

static void use_is_recorded_by_the_minute(void **state)
{
    struct home h = open_home(state);
    struct clock_manual clock;
    autostore struct store *s = NULL;
    clock_manual_init(&clock, NOW + 61234);
    assert_int_equal(control_init(&h.config, h.credentials, NULL), 0);
    autojson json_t *c = load(h.credentials);
    assert_int_equal(store_open(h.db, STORE_EXISTING, &s, NULL), 0);
    for (int i = 0; i < 3; i++) {
        static const bool stale[] = {true, false, true};
        autoidentity struct identity who = {0};
        assert_int_equal(api_key_authenticate(s, &clock.clock, get(c, "keyId"), get(c, "keySecret"), "", &who, NULL),
                         0);
        assert_int_equal(who.stale_use, stale[i]);
        assert_string_equal(who.organization, get(c, "organizationId"));
        assert_true(roles_allow(who.roles, "control-plane:organization:manage"));
        assert_int_equal(api_key_used(s, &clock.clock, who.key, NULL), 0);
        clock_manual_advance(&clock, i ? 0 : 1000);
        if (i == 1)
            clock_manual_advance(&clock, 60000);
    }
    assert_int_equal(count(h.db, "SELECT used_at FROM api_key"), NOW + 120000);
    close_home(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(init_makes_one_of_each_and_the_key_works, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(secrets_are_not_stored, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(init_again_changes_nothing, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(init_goes_on_after_a_crash, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(lost_file_says_how_to_get_a_key, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(new_key_needs_a_set_up_control_plane, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(foreign_and_open_files_are_refused, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(keys_end_by_state_time_and_address, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(use_is_recorded_by_the_minute, scratch_setup, scratch_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
