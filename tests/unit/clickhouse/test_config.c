/* clickhouse/config: the configuration and the engine's that follows. */
#include "../test.h"

#include "clickhouse/config.h"

#define REQUIRED "data_path = /d\nbucket_path = /b\nlibrary = /l.so\nusers_file = /u.json\n"

static int load(void **state, const char *text, struct config *ret, struct err *err)
{
    autofree char *path = mem_printf("%s/c.conf", (char *)*state);
    assert_int_equal(fs_write_atomic(path, text, strlen(text), 0600, NULL), 0);
    return config_load(path, ret, err);
}

static void loads_with_defaults(void **state)
{
    struct config c = {0};
    struct err err = ERR_INIT;
    assert_int_equal(load(state, "listen = 127.0.0.1:8123\n" REQUIRED, &c, &err), 0);
    assert_int_equal(c.max_concurrent_queries, 100);
    assert_string_equal(c.query_log, "");
    config_free(&c);
}

static void refuses(void **state, const char *text, const char *why)
{
    struct config c = {0};
    struct err err = ERR_INIT;
    assert_true(load(state, text, &c, &err) < 0);
    if (!strstr(err.message, why))
        fail_msg("no '%s' in: %s", why, err.message);
}

static void refuses_wrong_values(void **state)
{
    refuses(state, "listen = 0.0.0.0:8123\n" REQUIRED, "loopback");
    refuses(state, "listen = 127.0.0.1\n" REQUIRED, "listen");
    refuses(state, "listen = 127.0.0.1:0\n" REQUIRED, "listen");
    refuses(state, "listen = 127.0.0.1:70000\n" REQUIRED, "listen");
    refuses(state, "listen = /s\nsocket_mode = 888\n" REQUIRED, "socket_mode");
    refuses(state, "listen = /s\nbackup_path = b\n" REQUIRED, "backup_path");
    refuses(state, "listen = /s\nbackup_disk = Name https://h/bucket\n" REQUIRED, "backup_disk: must be a name");
    refuses(state, "listen = /s\nbackup_disk = name\n" REQUIRED, "backup_disk: must be a name");
    refuses(state, "listen = /s\nrestore_disk = name http://h/bucket\n" REQUIRED,
            "restore_disk: must begin with https");
    refuses(state, "listen = /s\nlog_level = loud\n" REQUIRED, "log_level");
    refuses(state, "listen = /s\n", "data_path");
}

static void listen_forms(void **state)
{
    struct listen_address a;
    assert_int_equal(config_listen("/run/x.sock", &a, NULL), 0);
    assert_true(a.is_unix);
    assert_int_equal(config_listen("[::1]:9", &a, NULL), 0);
    assert_string_equal(a.host, "::1");
    assert_int_equal(a.port, 9);
}

static void writes_the_engines_configuration(void **state)
{
    autofree char *data = mem_printf("%s/d & d", (char *)*state), *bucket = mem_printf("%s/b", (char *)*state);
    autofree char *path = NULL, *text = NULL;
    char none[] = "";
    struct config c = {.data_path = data,
                       .bucket_path = bucket,
                       .backup_path = none,
                       .restore_path = none,
                       .backup_disk = none,
                       .restore_disk = none,
                       .backup_keys = none,
                       .timezone = (char[]){"Asia/Tokyo"},
                       .max_memory_bytes = 5,
                       .background_threads = 2};
    assert_int_equal(config_engine(&c, &path, NULL), 0);
    assert_int_equal(fs_read(path, KIB(64), &text, NULL, NULL), 0);
    assert_non_null(strstr(text, "d &amp; d/user_files/"));
    assert_non_null(strstr(text, "<object_storage_type>local_blob_storage</object_storage_type>"));
    assert_non_null(strstr(text, "<timezone>Asia/Tokyo</timezone>"));
    assert_non_null(strstr(text, "<max_server_memory_usage>5</max_server_memory_usage>"));
    assert_null(strstr(text, "<backups>"));
    assert_true(fs_exists(bucket));
}

static void backups_go_to_disks_in_buckets(void **state)
{
    static const char keys[] = "access_key_id = AK<\nsecret_access_key = se&cret\n";
    autofree char *path = mem_printf("%s/c.conf", (char *)*state), *file = mem_printf("%s/keys", (char *)*state);
    autofree char *text =
        mem_printf("listen = /s\ndata_path = %s/d\nbucket_path = %s/b\nlibrary = /l\nusers_file = /u\n"
                   "backup_disk = own https://h/bucket/a\nrestore_disk = other https://h/bucket/b\n"
                   "backup_region = eu-central-1\nbackup_keys = %s\n",
                   (char *)*state, (char *)*state, file);
    autofree char *engine = NULL, *xml = NULL;
    struct config c = {0};
    assert_int_equal(fs_write_atomic(path, text, strlen(text), 0600, NULL), 0);
    assert_int_equal(config_load(path, &c, NULL), 0);
    assert_int_equal(config_engine(&c, &engine, NULL), -ENOENT); /* no keys, no start */
    assert_int_equal(fs_write_atomic(file, keys, strlen(keys), 0600, NULL), 0);
    assert_int_equal(config_engine(&c, &engine, NULL), 0);
    assert_int_equal(fs_read(engine, KIB(64), &xml, NULL, NULL), 0);
    assert_non_null(strstr(xml, "<own><type>s3_plain</type>\n<endpoint>https://h/bucket/a/</endpoint>"));
    assert_non_null(strstr(xml, "<other><type>s3_plain</type>\n<endpoint>https://h/bucket/b/</endpoint>"));
    assert_non_null(
        strstr(xml, "<access_key_id>AK&lt;</access_key_id>\n<secret_access_key>se&amp;cret</secret_access_key>"));
    assert_non_null(strstr(xml, "<allowed_disk>own</allowed_disk>\n<allowed_disk>other</allowed_disk>"));
    assert_null(strstr(xml, "allowed_path"));
    config_free(&c);
}

static void puts_settings_where_they_belong(void **state)
{
    autofree char *data = mem_printf("%s/d", (char *)*state), *file = mem_printf("%s/s.json", (char *)*state);
    autofree char *users = mem_printf("%s/engine/users.xml", data), *path = NULL, *text = NULL, *users_text = NULL;
    static const char good[] = "{\"profile\": {\"session_timezone\": \"a<b\"}, \"server\": {\"mark_cache_size\": "
                               "\"7\"}, \"mergeTree\": {\"parts_to_throw_insert\": \"9\"}}";
    static const char *const bad[] = {"{\"profile\": {\"a><b\": \"1\"}}", "{\"profile\": {\"a\": 1}}", "{\"x\": {}}",
                                      "[1"};
    char none[] = "";
    struct config c = {.data_path = data,
                       .bucket_path = data,
                       .backup_path = none,
                       .restore_path = none,
                       .backup_disk = none,
                       .restore_disk = none,
                       .backup_keys = none,
                       .settings_file = file,
                       .timezone = (char[]){""},
                       .background_threads = 2};
    assert_int_equal(fs_write_atomic(file, good, strlen(good), 0600, NULL), 0);
    assert_int_equal(config_engine(&c, &path, NULL), 0);
    assert_int_equal(fs_read(path, KIB(64), &text, NULL, NULL), 0);
    assert_int_equal(fs_read(users, KIB(64), &users_text, NULL, NULL), 0);
    assert_non_null(strstr(users_text, "<session_timezone>a&lt;b</session_timezone>"));
    assert_non_null(strstr(text, "<mark_cache_size>7</mark_cache_size>"));
    assert_non_null(strstr(text, "<parts_to_throw_insert>9</parts_to_throw_insert>\n</merge_tree>"));
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct err err = ERR_INIT;
        char *never = NULL;
        assert_int_equal(fs_write_atomic(file, bad[i], strlen(bad[i]), 0600, NULL), 0);
        assert_int_equal(config_engine(&c, &never, &err), -EINVAL);
        assert_non_null(strstr(err.message, "settings_file"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(loads_with_defaults, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(refuses_wrong_values, scratch_setup, scratch_teardown),
        cmocka_unit_test(listen_forms),
        cmocka_unit_test_setup_teardown(writes_the_engines_configuration, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(backups_go_to_disks_in_buckets, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(puts_settings_where_they_belong, scratch_setup, scratch_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
