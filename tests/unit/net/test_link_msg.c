/* net/link_msg: messages in any pieces, limits before memory, errors. */
#include "../test.h"

#include "net/link_msg.h"

static void messages_in_any_pieces(void **state OH_UNUSED)
{
    autobuf struct buf wire = BUF_INIT;
    for (int i = 0; i < 5; i++) {
        autojson json_t *o = json_pack("{s:i, s:s}", "n", i, "text", "h\303\251llo");
        assert_int_equal(link_msg_write(o, 1000, &wire, NULL), 0);
    }
    for (size_t piece = 1; piece < wire.len + 2; piece++) {
        struct link_msg_reader r;
        int got = 0;
        link_msg_reader_init(&r, 1000);
        for (size_t at = 0; at < wire.len; at += piece) {
            const uint8_t *p = (const uint8_t *)wire.data + at;
            size_t len = MIN(piece, wire.len - at);
            for (;;) {
                autojson json_t *o = NULL;
                int e = link_msg_read(&r, &p, &len, &o, NULL);
                assert_true(e >= 0);
                if (e == 0)
                    break;
                assert_int_equal(json_integer_value(json_object_get(o, "n")), got++);
            }
            assert_int_equal(len, 0);
        }
        assert_int_equal(got, 5);
        assert_true(link_msg_at_boundary(&r));
        assert_null(r.body.data); /* no memory between messages */
        link_msg_reader_free(&r);
    }
}

static int read_bytes(struct link_msg_reader *r, const char *bytes, size_t len, struct err *err)
{
    autojson json_t *o = NULL;
    const uint8_t *p = (const uint8_t *)bytes;
    return link_msg_read(r, &p, &len, &o, err);
}

static void limits_come_before_memory(void **state OH_UNUSED)
{
    struct link_msg_reader r;
    struct err err = ERR_INIT;
    link_msg_reader_init(&r, 100);
    assert_int_equal(read_bytes(&r, "\0\0\0\x65", 4, &err), -EMSGSIZE);
    assert_non_null(strstr(err.message, "limit of 100"));
    link_msg_reader_free(&r);
    link_msg_reader_init(&r, SIZE_MAX);
    assert_int_equal(read_bytes(&r, "\xff\xff\xff\xff", 4, NULL), -EMSGSIZE);
    link_msg_reader_free(&r);
    link_msg_reader_init(&r, LINK_MSG_MAX);
    assert_int_equal(read_bytes(&r, "\0\x3f\xff\xff{", 5, NULL), 0); /* promised 4 MiB, sent one byte */
    assert_true(r.body.cap < 1000);
    assert_false(link_msg_at_boundary(&r));
    link_msg_reader_free(&r);
}

static void only_objects(void **state OH_UNUSED)
{
    struct link_msg_reader r;
    struct err err = ERR_INIT;
    link_msg_reader_init(&r, 100);
    assert_int_equal(read_bytes(&r, "\0\0\0\x02[]", 6, &err), -EINVAL);
    assert_int_equal(read_bytes(&r, "\0\0\0\0", 4, NULL), -EINVAL);
    link_msg_reader_free(&r);
    assert_int_equal(read_bytes(&r, "\0\0\0\x0d{\"a\":1,\"a\":2}", 17, NULL), -EINVAL); /* duplicate key */
    autojson json_t *array = json_array(), *big = json_pack("{s:s}", "a", "0123456789");
    autobuf struct buf out = BUF_INIT;
    assert_int_equal(link_msg_write(array, 100, &out, NULL), -EINVAL);
    assert_int_equal(link_msg_write(big, 10, &out, NULL), -EMSGSIZE);
    assert_int_equal(out.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_in_any_pieces),
        cmocka_unit_test(limits_come_before_memory),
        cmocka_unit_test(only_objects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
