/* The ledger when the disk fails: each write and each sync of an append in turn gives an error or writes a part; what
 * was not answered for is not there, what was stays, and the next opening goes on. */
#include "ledger_parts.h"

ssize_t __real_pwrite64(int fd, const void *data, size_t len, off_t at);
ssize_t __wrap_pwrite64(int fd, const void *data, size_t len, off_t at);
int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);

enum fault { WRITE_FAILS, WRITE_IS_SHORT_THEN_FAILS, WRITE_IS_SHORT, SYNC_FAILS, FAULTS };

static enum fault fault = FAULTS; /* FAULTS: none */
static int error;
static bool begun; /* a part was written */
static int writes; /* that came through here */

ssize_t __wrap_pwrite64(int fd, const void *data, size_t len, off_t at)
{
    writes++;
    if (fault == WRITE_IS_SHORT && len > 1)
        return __real_pwrite64(fd, data, len / 2, at);
    if (fault == WRITE_IS_SHORT_THEN_FAILS && !begun && len > 1) {
        begun = true;
        return __real_pwrite64(fd, data, len / 2, at);
    }
    if (fault == WRITE_FAILS || fault == WRITE_IS_SHORT_THEN_FAILS) {
        errno = error;
        return -1;
    }
    return __real_pwrite64(fd, data, len, at);
}

int __wrap_fdatasync(int fd)
{
    if (fault == SYNC_FAILS) {
        errno = error;
        return -1;
    }
    return __real_fdatasync(fd);
}

static int append(struct bench *b, enum fault f, int code)
{
    struct err err = ERR_INIT;
    autojson json_t *body = json_pack("{ss}", "what", "must not stay");
    fault = f;
    error = code;
    begun = false;
    int r = ledger_append(b->l, "test", body, NULL, &err);
    fault = FAULTS;
    assert_true(r == 0 || *err.message);
    return r;
}

static void check_disk(struct bench *b, uint64_t leaves)
{
    bench_reopen(b);
    assert_int_equal(ledger_size(b->l), leaves);
    for (uint64_t i = 0; i < leaves; i++) {
        autofree char *text = NULL;
        size_t len = 0;
        assert_int_equal(ledger_leaf(b->l, i, &text, &len, NULL), 0);
        assert_null(strstr(text, "must not stay"));
    }
}

static void what_failed_is_not_there(void **state)
{
    static const int errors[] = {EIO, ENOSPC, EDQUOT};
    struct bench b;
    uint64_t leaves = 3;
    bench_new(&b, *state);
    bench_add(&b, 3);
    for (size_t e = 0; e < ARRAY_SIZE(errors); e++)
        for (int f = 0; f < FAULTS; f++) {
            if (f == WRITE_IS_SHORT)
                continue;
            assert_int_equal(append(&b, (enum fault)f, errors[e]), -errors[e]);
            assert_int_equal(ledger_size(b.l), leaves);
            check_disk(&b, leaves);
            bench_add(&b, 1);
            leaves++;
        }
    check_disk(&b, leaves);
    bench_free(&b);
}

/* A write that takes only a part each time is gone on with. */
static void short_writes_are_gone_on_with(void **state)
{
    struct bench b;
    bench_new(&b, *state);
    bench_add(&b, 2);
    fault = WRITE_IS_SHORT;
    writes = 0;
    bench_add(&b, 5);
    fault = FAULTS;
    assert_true(writes > 5 * 4);
    check_disk(&b, 7);
    bench_free(&b);
}

/* After a failed sync nobody knows what the disk holds: nothing more is taken until the folder was opened anew. */
static void after_a_failed_sync_nothing_is_taken(void **state)
{
    struct bench b;
    bench_new(&b, *state);
    bench_add(&b, 2);
    assert_int_equal(append(&b, SYNC_FAILS, EIO), -EIO);
    assert_int_equal(append(&b, FAULTS, 0), -EIO);
    assert_int_equal(ledger_size(b.l), 2);
    check_disk(&b, 2);
    bench_add(&b, 1);
    check_disk(&b, 3);
    bench_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_failed_is_not_there, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(short_writes_are_gone_on_with, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(after_a_failed_sync_nothing_is_taken, scratch_setup, scratch_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
