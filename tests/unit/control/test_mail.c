/* control/outward/mail: what a message looks like, and what cannot get into its headers. */
#include "../test.h"

#include "base/buf.h"
#include "control/outward/mail.h"

static char *compose(const char *to, const char *subject, const char *text)
{
    const struct mail m = {to, subject, text, 1800000000000LL};
    char *message = NULL;
    return mail_compose("cloud@example.org", &m, "id", &message, NULL) == 0 ? message : NULL;
}

static void a_message_is_whole(void **unused)
{
    autofree char *m = compose("a@example.org", "Hello", "one\ntwo\n");
    assert_string_equal(m, "From: OwnHouse <cloud@example.org>\r\n"
                           "To: <a@example.org>\r\n"
                           "Date: Fri, 15 Jan 2027 08:00:00 +0000\r\n"
                           "Message-ID: <id@example.org>\r\n"
                           "Subject: Hello\r\n"
                           "MIME-Version: 1.0\r\n"
                           "Content-Type: text/plain; charset=utf-8\r\n"
                           "Content-Transfer-Encoding: 8bit\r\n"
                           "Auto-Submitted: auto-generated\r\n"
                           "\r\n"
                           "one\r\ntwo\r\n");
}

static void subjects_in_other_scripts_are_encoded_by_characters(void **unused)
{
    autofree char *m = compose("a@example.org", "Einladung zu Käsekuchen & Söhne, dem größten Haus am Platz", "x");
    char *p = strstr(m, "Subject: ");
    struct buf all = BUF_INIT;
    assert_non_null(p);
    for (p += 9; !strncmp(p, "=?UTF-8?B?", 10);) {
        char *end = strstr(p + 10, "?=");
        unsigned char *raw;
        size_t len;
        assert_true(end && end - p <= 75);
        *end = 0;
        assert_int_equal(base64_decode(p + 10, 200, &raw, &len), 0);
        assert_false(((unsigned char)raw[0] & 0xc0) == 0x80); /* no character is cut in two */
        buf_add(&all, raw, len);
        free(raw);
        p = end + 2;
        p += strspn(p, "\r\n ");
    }
    assert_string_equal(all.data, "Einladung zu Käsekuchen & Söhne, dem größten Haus am Platz");
    buf_free(&all);
}

static void nothing_gets_into_the_headers(void **unused)
{
    static const char *const addresses[] = {"",          "nobody",       "a@",       "@b",           "a@b\r\nBcc: c@d",
                                            "a@b>,<c@d", "a b@example",  "a@b, c@d", "<a@b>",        "a@b\n",
                                            "\"a\"@b",   "a@b(comment)", "a@b;c@d",  "ä@example.org"};
    for (size_t i = 0; i < ARRAY_SIZE(addresses); i++) {
        autofree char *m = compose(addresses[i], "s", "t");
        if (m)
            fail_msg("taken: %s", addresses[i]);
    }
    autofree char *two_lines = compose("a@example.org", "s\r\nBcc: x@y", "t"),
                  *cr = compose("a@example.org", "s\rx", "t");
    assert_null(two_lines);
    assert_null(cr);
    autofree char *text = compose("a@example.org", "s", "one\r\n.\r\ntwo");
    assert_non_null(strstr(text, "\r\n\r\none\r\n.\r\ntwo"));
}

static void without_a_server_none_is_sent(void **unused)
{
    char empty[] = "";
    const struct control_config c = {.smtp_url = empty};
    const struct mail m = {"a@example.org", "s", "t", 0};
    assert_int_equal(mail_send(&c, &m, NULL), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_is_whole),
        cmocka_unit_test(subjects_in_other_scripts_are_encoded_by_characters),
        cmocka_unit_test(nothing_gets_into_the_headers),
        cmocka_unit_test(without_a_server_none_is_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
