/* URLs of folders in buckets, and files of keys. */
#include "../test.h"

#include "base/buf.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/s3.h"

#include <sys/stat.h>

static void parts_of_a_url(void **state OH_UNUSED)
{
    struct s3_url u;
    assert_int_equal(s3_url_parse("https://s3.eu-central-1.amazonaws.com/my-bucket/a/b_c.d", &u, NULL), 0);
    assert_string_equal(u.endpoint, "https://s3.eu-central-1.amazonaws.com");
    assert_string_equal(u.bucket, "my-bucket");
    assert_string_equal(u.prefix, "a/b_c.d");
    assert_int_equal(s3_url_parse("http://127.0.0.1:9000/abc", &u, NULL), 0);
    assert_string_equal(u.endpoint, "http://127.0.0.1:9000");
    assert_string_equal(u.prefix, "");
    assert_int_equal(s3_url_parse("http://[::1]:9000/abc/x", &u, NULL), 0);
}

static void wrong_urls(void **state OH_UNUSED)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"", "must be https://"},
        {"s3://bucket/x", "must be https://"},
        {"https:///bucket", "a host"},
        {"https://user@host/bucket", "a host"},
        {"http://example.com/bucket", "only leads to this machine"},
        {"http://127.example.com/bucket", "only leads to this machine"},
        {"http://[::1].example.com/bucket", "only leads to this machine"},
        {"https://host", "bucket"},
        {"https://host/ab", "bucket"},
        {"https://host/Bucket", "bucket"},
        {"https://host/bucket/", "final slash"},
        {"https://host/bucket/a//b", "final slash"},
        {"https://host/bucket/../other", "plain parts"},
        {"https://host/bucket/a?x=1", "plain parts"},
        {"https://host/bucket/a'b", "plain parts"},
        {"https://host/bucket/a<b", "plain parts"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct s3_url u;
        struct err err = ERR_INIT;
        assert_int_equal(s3_url_parse(cases[i].text, &u, &err), -EINVAL);
        if (!strstr(err.message, cases[i].says))
            fail_msg("%s: %s", cases[i].text, err.message);
    }
    autobuf struct buf longest = BUF_INIT;
    struct s3_url u;
    buf_adds(&longest, "https://host/bucket/");
    for (int i = 0; i < S3_URL_MAX; i++)
        buf_addc(&longest, 'a');
    assert_int_equal(s3_url_parse(longest.data, &u, NULL), -EINVAL);
}

static void files_of_keys(void **state)
{
    static const char good[] = "access_key_id = AKIA\nsecret_access_key = s/e+c=\n", half[] = "access_key_id = AKIA\n";
    autofree char *path = mem_printf("%s/keys", (char *)*state);
    autos3keys struct s3_keys k = {0}, none = {0};
    struct err err = ERR_INIT;
    assert_int_equal(fs_write_atomic(path, good, strlen(good), 0600, NULL), 0);
    assert_int_equal(s3_keys_load(path, &k, NULL), 0);
    assert_string_equal(k.access_key_id, "AKIA");
    assert_string_equal(k.secret_access_key, "s/e+c=");
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(s3_keys_load(path, &none, &err), -EPERM);
    assert_int_equal(fs_write_atomic(path, half, strlen(half), 0600, NULL), 0);
    assert_int_equal(s3_keys_load(path, &none, &err), -EINVAL);
    assert_non_null(strstr(err.message, "secret_access_key"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_of_a_url),
        cmocka_unit_test(wrong_urls),
        cmocka_unit_test_setup_teardown(files_of_keys, scratch_setup, scratch_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
