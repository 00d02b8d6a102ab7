/* Each rule of the signer, asked as the roles ask it: of its own process, over its own sockets, with real keys. */
#include "control/signer.h"

#include "base/buf.h"
#include "base/js.h"
#include "blueprint/desired.h"
#include "control/signer/signer_keys.h"
#include "control_fixture.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#define AGENT "00000000-0000-4000-8000-00000000000a"
#define DIGEST_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define DIGEST_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define HOUR_MS (3600 * 1000LL)

struct fixture {
    char *dir;
    struct signer_process signer;
};

static int setup(void **state)
{
    struct fixture *f = mem_alloc(sizeof(*f));
    void *dir = NULL;
    if (scratch_setup(&dir) < 0)
        return -1;
    f->dir = dir;
    signer_process_init(&f->signer, f->dir);
    signer_process_start(&f->signer);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    void *dir = f->dir;
    signer_process_close(&f->signer);
    free(f);
    return scratch_teardown(&dir);
}

static X509 *leaf_of(const char *pem)
{
    BIO *in = BIO_new_mem_buf(pem, -1);
    X509 *x = PEM_read_bio_X509(in, NULL, NULL, NULL);
    assert_non_null(x);
    BIO_free(in);
    return x;
}

/* What follows the leaf must be the authority that the roles read from the public file. */
static void assert_chain_ends_in_authority(const struct fixture *f, const char *chain)
{
    autofree char *path = mem_printf("%s/keys/link-ca.pem", f->dir), *pem = NULL;
    assert_int_equal(fs_read(path, KIB(64), &pem, NULL, NULL), 0);
    const char *second = strstr(chain + 1, "-----BEGIN CERTIFICATE-----");
    assert_non_null(second);
    assert_string_equal(second, pem);
}

static void an_agent_certificate_names_the_agent_for_a_day(void **state)
{
    struct fixture *f = *state;
    autotlskey struct tls_key *key = tls_key_new();
    autocert struct tls_cert *leaf = NULL;
    autofree char *csr = tls_csr_new(key), *chain = NULL;
    struct tls_cert_info info;
    struct err err = ERR_INIT;
    if (signer_agent_certificate(f->signer.link, AGENT, csr, &chain, &err) < 0)
        fail_msg("%s", err.message);
    int64_t now = clock_wall_ms(&clock_system);
    assert_int_equal(tls_cert_parse(chain, strlen(chain), &leaf, NULL), 0);
    tls_cert_info(leaf, &info);
    assert_string_equal(info.uri, "ownhouse:agent/" AGENT);
    assert_true(tls_cert_matches(leaf, key));
    assert_false(info.authority);
    assert_in_range(info.not_after_ms, now + 23 * HOUR_MS, now + 24 * HOUR_MS);
    assert_true(info.not_before_ms < now);
    assert_chain_ends_in_authority(f, chain);
    X509 *x = leaf_of(chain);
    assert_int_equal(X509_get_extended_key_usage(x), XKU_SSL_CLIENT);
    X509_free(x);
}

static void an_agent_must_be_a_uuid(void **state)
{
    static const char *const bad[] = {"",
                                      "agent",
                                      "../../../../../../../../../etc/passwd",
                                      "00000000-0000-4000-8000-00000000000",
                                      "00000000-0000-4000-8000-00000000000a0",
                                      "00000000-0000-4000-8000-00000000000g",
                                      "00000000_0000-4000-8000-00000000000a"};
    struct fixture *f = *state;
    autotlskey struct tls_key *key = tls_key_new();
    autofree char *csr = tls_csr_new(key);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        char *chain = NULL;
        struct err err = ERR_INIT;
        assert_int_equal(signer_agent_certificate(f->signer.link, bad[i], csr, &chain, &err), -EACCES);
        assert_null(chain);
        assert_non_null(strstr(err.message, "agent: "));
    }
}

static void a_request_must_be_one(void **state)
{
    struct fixture *f = *state;
    char *chain = NULL;
    autofree char *long_text = mem_alloc(KIB(17));
    memset(long_text, 'x', KIB(17) - 1);
    assert_int_equal(signer_agent_certificate(f->signer.link, AGENT, "not a request", &chain, NULL), -EACCES);
    assert_int_equal(signer_agent_certificate(f->signer.link, AGENT, long_text, &chain, NULL), -EACCES);
    assert_int_equal(signer_server_certificate(f->signer.link, "", &chain, NULL), -EACCES);
    assert_int_equal(signer_agent_certificate(f->signer.link, AGENT, "\xff\xfe", &chain, NULL), -EINVAL);
    assert_null(chain);
}

static void a_server_certificate_is_for_the_link_alone(void **state)
{
    struct fixture *f = *state;
    autotlskey struct tls_key *key = tls_key_new();
    autofree char *csr = tls_csr_new(key), *chain = NULL;
    assert_int_equal(signer_server_certificate(f->signer.link, csr, &chain, NULL), 0);
    X509 *x = leaf_of(chain);
    GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    assert_int_equal(sk_GENERAL_NAME_num(names), 1);
    assert_int_equal(sk_GENERAL_NAME_value(names, 0)->type, GEN_DNS);
    assert_int_equal(X509_check_host(x, SIGNER_SERVER_NAME, 0, 0, NULL), 1);
    assert_int_equal(X509_check_host(x, "localhost", 0, 0, NULL), 0);
    assert_int_equal(X509_get_extended_key_usage(x), XKU_SSL_SERVER);
    GENERAL_NAMES_free(names);
    X509_free(x);
    assert_chain_ends_in_authority(f, chain);
}

static void nobody_may_ask_for_what_is_the_others(void **state)
{
    struct fixture *f = *state;
    autotlskey struct tls_key *key = tls_key_new();
    autofree char *csr = tls_csr_new(key);
    char *chain = NULL, signature[129] = "unchanged";
    struct err err = ERR_INIT;
    assert_int_equal(signer_agent_certificate(f->signer.controller, AGENT, csr, &chain, &err), -EACCES);
    assert_non_null(strstr(err.message, "the controller role may not ask for this"));
    assert_int_equal(signer_server_certificate(f->signer.controller, csr, &chain, NULL), -EACCES);
    assert_null(chain);
    assert_int_equal(signer_desired(f->signer.link, INFRA, 1, DIGEST_A, signature, &err), -EACCES);
    assert_non_null(strstr(err.message, "the link role may not ask for this"));
    assert_string_equal(signature, "unchanged");
    /* And nothing was remembered of the refused question. */
    assert_int_equal(signer_desired(f->signer.controller, INFRA, 1, DIGEST_B, signature, NULL), 0);
}

static void assert_signed(const struct fixture *f, int64_t version, const char *digest, const char *signature)
{
    autofree char *path = mem_printf("%s/keys/desired.pub", f->dir), *hex = NULL;
    autobuf struct buf statement = BUF_INIT;
    unsigned char key[ED25519_PUBLIC_SIZE], raw[ED25519_SIGNATURE_SIZE];
    assert_int_equal(fs_read(path, 256, &hex, NULL, NULL), 0);
    hex[64] = 0;
    assert_int_equal(hex_decode(hex, key, sizeof(key)), 0);
    assert_int_equal(hex_decode(signature, raw, sizeof(raw)), 0);
    desired_statement_of_digest(INFRA, version, digest, &statement);
    assert_true(signature_valid(key, statement.data, statement.len, raw));
}

static void versions_only_rise(void **state)
{
    struct fixture *f = *state;
    int fd = f->signer.controller;
    char first[129], again[129], other[129];
    struct err err = ERR_INIT;
    assert_int_equal(signer_desired(fd, INFRA, 5, DIGEST_A, first, NULL), 0);
    assert_signed(f, 5, DIGEST_A, first);
    assert_int_equal(signer_desired(fd, INFRA, 5, DIGEST_A, again, NULL), 0);
    assert_string_equal(first, again);
    assert_int_equal(signer_desired(fd, INFRA, 5, DIGEST_B, other, NULL), -EACCES);
    assert_int_equal(signer_desired(fd, INFRA, 4, DIGEST_A, other, &err), -EACCES);
    assert_non_null(strstr(err.message, "version 4 is not above 5"));
    /* Each infrastructure counts for itself. */
    assert_int_equal(signer_desired(fd, AGENT, 1, DIGEST_B, other, NULL), 0);

    signer_process_stop(&f->signer);
    signer_process_start(&f->signer);
    assert_int_equal(signer_desired(fd, INFRA, 4, DIGEST_A, other, NULL), -EACCES);
    assert_int_equal(signer_desired(fd, INFRA, 5, DIGEST_B, other, NULL), -EACCES);
    assert_int_equal(signer_desired(fd, INFRA, 5, DIGEST_A, again, NULL), 0);
    assert_string_equal(first, again);
    assert_int_equal(signer_desired(fd, INFRA, 6, DIGEST_B, other, NULL), 0);
    assert_signed(f, 6, DIGEST_B, other);
    assert_int_equal(signer_desired(fd, INFRA, 5, DIGEST_A, again, NULL), -EACCES);
}

static void a_desired_question_must_be_well_formed(void **state)
{
    struct fixture *f = *state;
    int fd = f->signer.controller;
    char s[129];
    assert_int_equal(signer_desired(fd, INFRA, 0, DIGEST_A, s, NULL), -EACCES);
    assert_int_equal(signer_desired(fd, INFRA, -1, DIGEST_A, s, NULL), -EACCES);
    assert_int_equal(signer_desired(fd, "../complete", 1, DIGEST_A, s, NULL), -EACCES);
    static const char bad[][80] = {"aa", DIGEST_A "aa", "",
                                   "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(signer_desired(fd, INFRA, 1, bad[i], s, NULL), -EACCES);
    /* Another spelling would be another memory of the same thing, or one that cannot be read again. */
    assert_int_equal(signer_desired(fd, "ABCDEF00-0000-4000-8000-000000000002", 1, DIGEST_A, s, NULL), -EACCES);
    assert_int_equal(
        signer_desired(fd, INFRA, 1, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", s, NULL),
        -EACCES);
    assert_int_equal(signer_desired(fd, INFRA, 1, DIGEST_A, s, NULL), 0);
}

static void a_damaged_memory_is_named_and_signs_nothing(void **state)
{
    static const char *const damaged[] = {"", "5", "x " DIGEST_A "\n", "0 " DIGEST_A "\n", "5 abc\n"};
    struct fixture *f = *state;
    autofree char *path = mem_printf("%s/keys/signed/" INFRA, f->dir);
    char s[129];
    assert_int_equal(signer_desired(f->signer.controller, INFRA, 5, DIGEST_A, s, NULL), 0);
    for (size_t i = 0; i < ARRAY_SIZE(damaged); i++) {
        struct err err = ERR_INIT;
        assert_int_equal(fs_write_atomic(path, damaged[i], strlen(damaged[i]), 0600, NULL), 0);
        assert_int_equal(signer_desired(f->signer.controller, INFRA, 9, DIGEST_A, s, &err), -EACCES);
        assert_non_null(strstr(err.message, path));
        assert_non_null(strstr(err.message, "damaged"));
    }
}

static void a_lost_key_is_not_made_again(void **state)
{
    static const char *const names[] = {"link-ca.key",       "link-ca.pem", "link-ca-spare.key",
                                        "link-ca-spare.pem", "desired.key", "signed"};
    struct fixture *f = *state;
    struct signer_keys keys;
    char s[129];
    assert_int_equal(signer_desired(f->signer.controller, INFRA, 1, DIGEST_A, s, NULL), 0);
    signer_process_stop(&f->signer);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        autofree char *path = mem_printf("%s/keys/%s", f->dir, names[i]), *aside = mem_printf("%s.aside", path);
        struct err err = ERR_INIT;
        assert_int_equal(rename(path, aside), 0);
        if (signer_keys_open(&f->signer.role.config, &clock_system, &keys, &err) == 0)
            fail_msg("started without %s", names[i]);
        assert_non_null(strstr(err.message, "restore the keys folder from a backup"));
        assert_false(fs_exists(path));
        assert_int_equal(rename(aside, path), 0);
    }
    assert_int_equal(signer_keys_open(&f->signer.role.config, &clock_system, &keys, NULL), 0);
    signer_keys_close(&keys);
}

static void secrets_are_for_the_owner_alone(void **state)
{
    static const char *const names[] = {"link-ca.key", "link-ca-spare.key", "desired.key"};
    struct fixture *f = *state;
    signer_process_stop(&f->signer);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        autofree char *path = mem_printf("%s/keys/%s", f->dir, names[i]);
        struct stat st;
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
    }
}

static void a_late_answer_is_skipped(void **state)
{
    struct fixture *f = *state;
    char late[129], mine[129], again[129];
    struct err err = ERR_INIT;
    assert_int_equal(signer_desired(f->signer.controller, INFRA, 1, DIGEST_A, mine, NULL), 0);
    kill(f->signer.pid, SIGSTOP);
    assert_int_equal(signer_desired(f->signer.controller, INFRA, 2, DIGEST_A, late, &err), -ETIMEDOUT);
    assert_non_null(strstr(err.message, "5 s"));
    kill(f->signer.pid, SIGCONT);
    /* The answer to version 2 is in the socket by now or soon, before the one to version 3. */
    assert_int_equal(signer_desired(f->signer.controller, INFRA, 3, DIGEST_B, mine, NULL), 0);
    assert_signed(f, 3, DIGEST_B, mine);
    assert_int_equal(signer_desired(f->signer.controller, INFRA, 3, DIGEST_B, again, NULL), 0);
    assert_string_equal(again, mine);
}

static void say(int fd, const void *text, size_t len)
{
    assert_int_equal(send(fd, text, len, MSG_NOSIGNAL), (ssize_t)len);
}

static void nonsense_harms_nobody(void **state)
{
    static const char *const nonsense[] = {"",
                                           "{",
                                           "[]",
                                           "null",
                                           "{}",
                                           "{\"op\":7}",
                                           "{\"op\":\"no-such\",\"id\":1}",
                                           "{\"op\":\"desired\",\"op\":\"desired\"}",
                                           "{\"op\":\"desired\",\"version\":1e3}",
                                           "{\"op\":\"desired\",\"version\":99999999999999999999}",
                                           "{\"op\":\"desired\",\"infrastructure\":{},\"digest\":[],\"version\":1}",
                                           "{\"op\":\"\\u0000desired\"}",
                                           "\xff\xfe"};
    struct fixture *f = *state;
    size_t len = SIGNER_MESSAGE_MAX + KIB(16);
    char s[129];
    autofree char *big = mem_alloc(len);
    for (size_t i = 0; i < ARRAY_SIZE(nonsense); i++)
        say(f->signer.controller, nonsense[i], strlen(nonsense[i]));
    memset(big, '[', len);
    say(f->signer.controller, big, len);
    /* A message whose first 64 KiB would be a question, were the rest not cut off. */
    memset(big, ' ', len);
    const char *question = "{\"id\":1,\"op\":\"desired\",\"infrastructure\":\"" INFRA "\",\"version\":7,\"digest\":"
                           "\"" DIGEST_A "\"}";
    memcpy(big, question, strlen(question));
    say(f->signer.controller, big, len);
    /* Each is answered with an error or not at all, and the next question is served; version 7 was not signed. */
    assert_int_equal(signer_desired(f->signer.controller, INFRA, 1, DIGEST_A, s, NULL), 0);
    assert_signed(f, 1, DIGEST_A, s);
}

static int64_t processor_ms(pid_t pid)
{
    clockid_t id;
    struct timespec t;
    assert_int_equal(clock_getcpuclockid(pid, &id), 0);
    assert_int_equal(clock_gettime(id, &t), 0);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void an_asker_that_left_costs_nothing(void **state)
{
    struct fixture *f = *state;
    char s[129];
    assert_int_equal(signer_desired(f->signer.controller, INFRA, 1, DIGEST_A, s, NULL), 0);
    int64_t before = processor_ms(f->signer.pid);
    close(f->signer.link); /* the only one of its kind */
    f->signer.link = -1;
    usleep(600 * 1000);
    assert_in_range(processor_ms(f->signer.pid) - before, 0, 30);
    assert_int_equal(signer_desired(f->signer.controller, INFRA, 2, DIGEST_A, s, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_agent_certificate_names_the_agent_for_a_day, setup, teardown),
        cmocka_unit_test_setup_teardown(an_agent_must_be_a_uuid, setup, teardown),
        cmocka_unit_test_setup_teardown(a_request_must_be_one, setup, teardown),
        cmocka_unit_test_setup_teardown(a_server_certificate_is_for_the_link_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(nobody_may_ask_for_what_is_the_others, setup, teardown),
        cmocka_unit_test_setup_teardown(versions_only_rise, setup, teardown),
        cmocka_unit_test_setup_teardown(a_desired_question_must_be_well_formed, setup, teardown),
        cmocka_unit_test_setup_teardown(a_damaged_memory_is_named_and_signs_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_lost_key_is_not_made_again, setup, teardown),
        cmocka_unit_test_setup_teardown(secrets_are_for_the_owner_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(a_late_answer_is_skipped, setup, teardown),
        cmocka_unit_test_setup_teardown(nonsense_harms_nobody, setup, teardown),
        cmocka_unit_test_setup_teardown(an_asker_that_left_costs_nothing, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
