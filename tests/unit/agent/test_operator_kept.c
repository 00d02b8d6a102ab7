/* agent/operator/kept: what is taken, what is refused, what survives. */
#include "operator_document.h"

#include "agent/operator/kept.h"

#include <sys/stat.h>

struct fixture {
    struct signing_key *key;
    struct kept_rules rules;
    char *dir, *path;
};

static int setup(void **state)
{
    struct fixture *f = mem_alloc(sizeof(*f));
    void *dir = NULL;
    if (scratch_setup(&dir) < 0)
        return -1;
    f->dir = dir;
    f->path = mem_printf("%s/desired.json", f->dir);
    f->key = signing_key_new();
    f->rules.infrastructure = INFRA;
    signing_key_public(f->key, f->rules.desired_key);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    void *dir = f->dir;
    signing_key_free(f->key);
    free(f->path);
    free(f);
    return scratch_teardown(&dir);
}

static int offer(struct fixture *f, const struct kept *last, int64_t version, const char *text, const char *signature,
                 struct kept *ret, struct err *err)
{
    return kept_check(&f->rules, last, version, text, strlen(text), signature, ret, err);
}

static void order_of_versions(void **state)
{
    struct fixture *f = *state;
    struct kept last = {0}, none = {0};
    char s5[129], s4[129], other[129];
    struct err err = ERR_INIT;
    autofree char *five = document(INFRA, 5, "running", false), *four = document(INFRA, 4, "running", false),
                  *again = document(INFRA, 5, "stopped", false);
    sign(f->key, INFRA, 5, five, s5);
    sign(f->key, INFRA, 4, four, s4);
    sign(f->key, INFRA, 5, again, other);
    assert_int_equal(offer(f, &none, 5, five, s5, &last, &err), 0);
    assert_int_equal(last.version, 5);
    assert_string_equal(last.desired->services[0].slug, "demo");
    assert_int_equal(offer(f, &last, 5, five, s5, &none, &err), 1);
    assert_int_equal(offer(f, &last, 5, again, other, &none, &err), -ESTALE);
    assert_non_null(strstr(err.message, "other content"));
    err = ERR_INIT;
    assert_int_equal(offer(f, &last, 4, four, s4, &none, &err), -ESTALE);
    assert_non_null(strstr(err.message, "below 5"));
    assert_null(none.desired);
    kept_clear(&last);
}

static void foreign_and_unsigned_are_refused(void **state)
{
    struct fixture *f = *state;
    const struct kept none = {0};
    struct kept got = {0};
    char signature[129];
    struct err err = ERR_INIT;
    autokey struct signing_key *thief = signing_key_new();
    autofree char *text = document(INFRA, 1, "running", false), *foreign = document(SERVICE_ID, 1, "running", false);
    sign(thief, INFRA, 1, text, signature);
    assert_int_equal(offer(f, &none, 1, text, signature, &got, &err), -EBADMSG);
    assert_int_equal(offer(f, &none, 1, text, "", &got, NULL), -EBADMSG);
    /* signed by the right key, but for the infrastructure of another */
    sign(f->key, SERVICE_ID, 1, foreign, signature);
    assert_int_equal(offer(f, &none, 1, foreign, signature, &got, NULL), -EBADMSG);
    /* signed for us, but made for another */
    sign(f->key, INFRA, 1, foreign, signature);
    err = ERR_INIT;
    assert_int_equal(offer(f, &none, 1, foreign, signature, &got, &err), -EXDEV);
    assert_non_null(strstr(err.message, SERVICE_ID));
    /* message and document disagree about the version */
    sign(f->key, INFRA, 2, text, signature);
    assert_int_equal(offer(f, &none, 2, text, signature, &got, NULL), -EINVAL);
    /* signed, but not understood */
    sign(f->key, INFRA, 1, "{}", signature);
    err = ERR_INIT;
    assert_int_equal(offer(f, &none, 1, "{}", signature, &got, &err), -EINVAL);
    assert_non_null(strstr(err.message, "type"));
    assert_null(got.desired);
}

static void it_is_kept_and_verified_again(void **state)
{
    struct fixture *f = *state;
    struct kept got = {0};
    char signature[129];
    struct stat st;
    autofree char *text = document(INFRA, 7, "running", false);
    sign(f->key, INFRA, 7, text, signature);
    struct err err = ERR_INIT;
    assert_int_equal(kept_load(f->path, &f->rules, &got, &err), -ENOENT);
    assert_string_equal(err.message, "");
    assert_int_equal(kept_save(f->path, 7, text, strlen(text), signature, NULL), 0);
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(kept_load(f->path, &f->rules, &got, NULL), 0);
    assert_int_equal(got.version, 7);
    kept_clear(&got);
    /* another key in the bundle: what was kept is not believed any more */
    struct kept_rules other = f->rules;
    other.desired_key[0] ^= 1;
    assert_int_equal(kept_load(f->path, &other, &got, &err), -EBADMSG);
    assert_non_null(strstr(err.message, "desired.json"));
    assert_null(got.desired);
}

/* Every byte of the file changed in turn: never believed with other content. */
static void a_changed_file_is_not_believed(void **state)
{
    struct fixture *f = *state;
    char signature[129];
    autofree char *text = document(INFRA, 7, "running", false), *file = NULL;
    size_t len = 0;
    sign(f->key, INFRA, 7, text, signature);
    assert_int_equal(kept_save(f->path, 7, text, strlen(text), signature, NULL), 0);
    assert_int_equal(fs_read(f->path, MIB(1), &file, &len, NULL), 0);
    for (size_t i = 0; i < len; i += 3) {
        struct kept got = {0};
        file[i] ^= 1;
        assert_int_equal(truncate(f->path, 0), 0);
        int fd = open(f->path, O_WRONLY);
        assert_int_equal(write(fd, file, len), (ssize_t)len);
        close(fd);
        file[i] ^= 1;
        if (kept_load(f->path, &f->rules, &got, NULL) == 0) {
            assert_int_equal(got.version, 7); /* the change was in the case of a hex digit or the like */
            assert_string_equal(got.desired->services[0].slug, "demo");
        }
        kept_clear(&got);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(order_of_versions),
        TEST(foreign_and_unsigned_are_refused),
        TEST(it_is_kept_and_verified_again),
        TEST(a_changed_file_is_not_believed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
