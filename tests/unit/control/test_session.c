/* control/identity: sessions over time, cookies, set-up links. */
#include "control_fixture.h"

#include "control/identity/cookie.h"
#include "control/identity/session.h"
#include "control/identity/set_up.h"

#define NOW 1800000000000LL
#define DAY (24 * 3600 * 1000LL)
static const struct session_origin origin = {"password", false, "192.0.2.1", "test"};

static struct store *open_store(void **state)
{
    autofree char *path = mem_printf("%s/control.db", (char *)*state);
    struct store *s = new_store(path);
    sql(s, "INSERT INTO user (id, email, name, password_hash, created_at) VALUES ('u1', 'a@example.org', 'A', '', 1), "
           "('u2', 'b@example.org', 'B', '', 1)");
    return s;
}

static bool counts(struct store *s, int64_t now, const char *token)
{
    autosession struct session found = {0};
    int r = session_find(s, now, token, &found, NULL);
    assert_true(r >= 0);
    if (r == 1)
        assert_true(!strcmp(found.user, "u1") || !strcmp(found.user, "u2"));
    return r == 1;
}

static void a_session_ends_when_idle_and_at_its_age(void **state)
{
    autostore struct store *s = open_store(state);
    char id[UUID_SIZE], token[SESSION_TOKEN_LENGTH + 1];
    assert_int_equal(session_begin(s, NOW, "u1", &origin, id, token, NULL), 0);
    assert_true(counts(s, NOW, token));
    assert_true(counts(s, NOW + SESSION_IDLE_MS - 1, token));
    assert_false(counts(s, NOW + SESSION_IDLE_MS, token));
    /* Whoever goes on asking stays, but not beyond its age. */
    int64_t now = NOW;
    for (; now + SESSION_IDLE_MS / 2 < NOW + SESSION_LIFE_MS; now += SESSION_IDLE_MS / 2) {
        assert_true(counts(s, now, token));
        assert_int_equal(session_seen(s, now, id, NULL), 0);
    }
    assert_true(counts(s, NOW + SESSION_LIFE_MS - 1, token));
    assert_false(counts(s, NOW + SESSION_LIFE_MS, token));
}

static void the_store_has_only_a_hash(void **state)
{
    autostore struct store *s = open_store(state);
    char id[UUID_SIZE], token[SESSION_TOKEN_LENGTH + 1], hash[65];
    assert_int_equal(session_begin(s, NOW, "u1", &origin, id, token, NULL), 0);
    sha256_hex(token, strlen(token), hash);
    assert_words(s, "SELECT token_hash FROM session", hash);
    assert_false(counts(s, NOW, hash));
    assert_false(counts(s, NOW, ""));
    token[0] = token[0] == 'a' ? 'b' : 'a';
    assert_false(counts(s, NOW, token));
}

static void rotation_and_ends(void **state)
{
    autostore struct store *s = open_store(state);
    char one[UUID_SIZE], two[UUID_SIZE], other[UUID_SIZE];
    char t1[SESSION_TOKEN_LENGTH + 1], t2[SESSION_TOKEN_LENGTH + 1], t3[SESSION_TOKEN_LENGTH + 1],
        t4[SESSION_TOKEN_LENGTH + 1];
    int64_t n = -1;
    assert_int_equal(session_begin(s, NOW, "u1", &origin, one, t1, NULL), 0);
    assert_int_equal(session_begin(s, NOW, "u1", &origin, two, t2, NULL), 0);
    assert_int_equal(session_begin(s, NOW, "u2", &origin, other, t3, NULL), 0);
    assert_int_equal(session_rotate(s, one, t4, NULL), 0);
    assert_false(counts(s, NOW, t1));
    assert_true(counts(s, NOW, t4));
    assert_int_equal(session_end(s, "u2", two, NULL), 0); /* not theirs */
    assert_true(counts(s, NOW, t2));
    assert_int_equal(session_end_all(s, "u1", one, &n, NULL), 0);
    assert_int_equal(n, 1);
    assert_false(counts(s, NOW, t2));
    assert_true(counts(s, NOW, t4) && counts(s, NOW, t3));
    assert_int_equal(session_end(s, "u1", one, NULL), 1);
    assert_int_equal(session_end_token(s, t3, NULL), 0);
    assert_int_equal(number(s, "SELECT count(*) FROM session"), 0);
}

static void sessions_of_one_user_are_bounded(void **state)
{
    autostore struct store *s = open_store(state);
    char id[UUID_SIZE], first[SESSION_TOKEN_LENGTH + 1], last[SESSION_TOKEN_LENGTH + 1];
    assert_int_equal(session_begin(s, NOW, "u1", &origin, id, first, NULL), 0);
    for (int i = 1; i <= SESSIONS_MAX; i++)
        assert_int_equal(session_begin(s, NOW + i, "u1", &origin, id, last, NULL), 0);
    assert_int_equal(number(s, "SELECT count(*) FROM session"), SESSIONS_MAX);
    assert_false(counts(s, NOW + 100, first));
    assert_true(counts(s, NOW + 100, last));
    /* What has ended is swept by the next that begins. */
    assert_int_equal(session_begin(s, NOW + 30 * DAY, "u2", &origin, id, last, NULL), 0);
    assert_int_equal(number(s, "SELECT count(*) FROM session"), 1);
}

static void csrf_tokens_belong_to_one_cookie(void **unused)
{
    char a[65], b[65], again[65];
    session_csrf("token-a", a);
    session_csrf("token-b", b);
    session_csrf("token-a", again);
    assert_string_equal(a, again);
    assert_string_not_equal(a, b);
    assert_int_equal(strlen(a), 64);
}

static void set_up_links_work_for_a_day_and_replace_one_another(void **state)
{
    autostore struct store *s = open_store(state);
    char token[SET_UP_TOKEN_LENGTH + 1], newer[SET_UP_TOKEN_LENGTH + 1], hash[65], user[UUID_SIZE];
    assert_int_equal(set_up_make(s, NOW, "u1", token, NULL), 0);
    sha256_hex(token, strlen(token), hash);
    assert_int_equal(set_up_find(s, NOW + SET_UP_LIFE_MS - 1, hash, user, NULL), 1);
    assert_string_equal(user, "u1");
    assert_int_equal(set_up_find(s, NOW + SET_UP_LIFE_MS, hash, user, NULL), 0);
    assert_int_equal(set_up_make(s, NOW + 1, "u1", newer, NULL), 0);
    assert_int_equal(set_up_find(s, NOW + 1, hash, user, NULL), 0);
    sha256_hex(newer, strlen(newer), hash);
    assert_int_equal(set_up_find(s, NOW + 1, hash, user, NULL), 1);
}

static void assert_cookie(const char *header, const char *expected)
{
    char value[COOKIE_MAX] = "untouched";
    bool found = cookie_find(header, "__Host-x", value);
    assert_int_equal(found, expected != NULL);
    assert_string_equal(value, expected ? expected : "untouched");
}

static void cookies_are_found_by_their_whole_name(void **unused)
{
    char longest[COOKIE_MAX + 16] = "__Host-x=";
    assert_cookie(NULL, NULL);
    assert_cookie("", NULL);
    assert_cookie("__Host-x=abc", "abc");
    assert_cookie("a=1; __Host-x=Abc9 ; b=2", "Abc9");
    assert_cookie("__Host-x=first; __Host-x=second", "first");
    assert_cookie("not__Host-x=abc", NULL);
    assert_cookie("__Host-xy=abc", NULL);
    assert_cookie("__host-x=abc", NULL);
    assert_cookie("a=__Host-x=abc", NULL);
    assert_cookie("__Host-x=", NULL);
    assert_cookie("__Host-x", NULL);
    assert_cookie("__Host-x=\"abc\"", NULL);
    assert_cookie("__Host-x=a b", NULL);
    memset(longest + 9, 'a', COOKIE_MAX - 1);
    assert_cookie(longest, longest + 9);
    longest[9 + COOKIE_MAX - 1] = 'a';
    assert_cookie(longest, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_session_ends_when_idle_and_at_its_age, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(the_store_has_only_a_hash, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(rotation_and_ends, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(sessions_of_one_user_are_bounded, scratch_setup, scratch_teardown),
        cmocka_unit_test(csrf_tokens_belong_to_one_cookie),
        cmocka_unit_test_setup_teardown(set_up_links_work_for_a_day_and_replace_one_another, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test(cookies_are_found_by_their_whole_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
