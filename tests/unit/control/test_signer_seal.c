/* control/signer/signer_seal: activities go into the record once, in their order, and it survives its writer. */
#include "../test.h"

#include "base/clock.h"
#include "control/signer/signer_seal.h"
#include "ledger/verify.h"

static json_t *question(int64_t first, int n)
{
    json_t *rows = json_array();
    for (int i = 0; i < n; i++)
        json_array_append_new(rows,
                              json_pack("{sI ss ss ss ss ss}", "seq", (json_int_t)(first + i), "id", "an-id", "type",
                                        "service_start", "organization", "o", "time", "1", "sha256", "d"));
    return json_pack("{so}", "rows", rows);
}

static int seal(struct signer_seal *s, int64_t first, int n, int64_t *ret_last, struct err *err)
{
    autojson json_t *q = question(first, n);
    return signer_seal_rows(s, q, ret_last, err);
}

static void findings(enum ledger_finding kind, uint64_t index OH_UNUSED, const char *sentence, void *data)
{
    if (kind < LEDGER_LATE)
        fail_msg("%s", sentence);
    (*(int *)data)++;
}

static void rows_are_sealed_once_and_in_order(void **state)
{
    struct signer_seal s;
    struct err err = ERR_INIT;
    int64_t last = -1;
    assert_int_equal(signer_seal_open(*state, &clock_system, &s, &err), 0);
    assert_int_equal(seal(&s, 1, 0, &last, &err), 0);
    assert_int_equal(last, 0);
    assert_int_equal(seal(&s, 3, 5, &last, &err), 0);
    assert_int_equal(last, 7);
    /* again, from before, twice the same, and out of order */
    assert_int_equal(seal(&s, 7, 2, &last, &err), -EPERM);
    assert_non_null(strstr(err.message, "rolled back or altered"));
    err = ERR_INIT;
    autojson json_t *q = question(9, 2);
    json_object_set_new(json_array_get(json_object_get(q, "rows"), 1), "seq", json_integer(9));
    assert_int_equal(signer_seal_rows(&s, q, &last, &err), -EPERM);
    err = ERR_INIT;
    json_object_set_new(json_array_get(json_object_get(q, "rows"), 1), "secret", json_integer(9));
    assert_int_equal(signer_seal_rows(&s, q, &last, &err), -EINVAL);
    err = ERR_INIT;
    assert_int_equal(seal(&s, 8, SIGNER_SEAL_ROWS + 1, &last, &err), -EINVAL);
    assert_int_equal(ledger_size(s.ledger), 1);
    signer_seal_close(&s);
}

static void it_goes_on_where_it_stood(void **state)
{
    struct signer_seal s;
    struct err err = ERR_INIT;
    struct ledger_verdict verdict;
    int64_t last = 0;
    int notices = 0;
    assert_int_equal(signer_seal_open(*state, &clock_system, &s, &err), 0);
    assert_int_equal(seal(&s, 1, SIGNER_SEAL_ROWS, &last, &err), 0);
    assert_true(signer_seal_signed(&s)); /* the first at once */
    assert_int_equal(seal(&s, 100, 2, &last, &err), 0);
    assert_false(signer_seal_signed(&s)); /* the next in its time, or at the end */
    signer_seal_close(&s);
    assert_int_equal(signer_seal_open(*state, &clock_system, &s, &err), 0);
    assert_int_equal(seal(&s, 1, 0, &last, &err), 0);
    assert_int_equal(last, 101);
    assert_int_equal(seal(&s, 101, 1, &last, &err), -EPERM);
    signer_seal_close(&s);
    autofree char *published = mem_printf("%s/activities/published", (char *)*state),
                  *path = mem_printf("%s/activities/verifier", (char *)*state), *text = NULL;
    struct ledger_verify v = {.dir = published, .on_finding = findings, .data = &notices};
    err = ERR_INIT;
    assert_int_equal(fs_read(path, KIB(4), &text, NULL, &err), 0);
    text[strcspn(text, "\n")] = '\0';
    assert_int_equal(note_verifier_parse(text, &v.log, &err), 0);
    assert_int_equal(ledger_verify(&v, &verdict, &err), 0);
    assert_int_equal(verdict.leaves, 2);
    assert_int_equal(verdict.signed_size, 2);
    assert_int_equal(verdict.findings, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(rows_are_sealed_once_and_in_order, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(it_goes_on_where_it_stood, scratch_setup, scratch_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
