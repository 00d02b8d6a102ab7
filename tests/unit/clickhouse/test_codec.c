/* clickhouse/codec: gzip and zstd streams. */
#include "../test.h"

#include "clickhouse/codec.h"

static int collect(void *user, const void *data, size_t len)
{
    buf_add(user, data, len);
    return ((struct buf *)user)->overflow ? -EFBIG : 0;
}

static void packed(enum codec_kind kind, const void *data, size_t len, struct buf *out)
{
    struct encoder *e = encoder_new(kind, 0);
    for (size_t at = 0; at < len; at += 1000)
        encoder_feed(e, (const char *)data + at, MIN(len - at, (size_t)1000), at % 3000 == 0, false, out);
    encoder_feed(e, "", 0, false, true, out);
    encoder_free(e);
}

static void there_and_back(void **state)
{
    static const enum codec_kind kinds[] = {CODEC_NONE, CODEC_GZIP, CODEC_DEFLATE, CODEC_ZSTD};
    autofree char *data = mem_alloc(300000);
    for (size_t i = 0; i < 300000; i++)
        data[i] = (char)((i * i) >> 7);
    for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
        autobuf struct buf in = BUF_INIT, out = BUF_INIT;
        struct decoder *d = decoder_new(kinds[k]);
        packed(kinds[k], data, 300000, &in);
        for (size_t at = 0; at < in.len; at += 777) /* in pieces */
            assert_int_equal(decoder_feed(d, in.data + at, MIN(in.len - at, (size_t)777), collect, &out, NULL), 0);
        assert_int_equal(decoder_finish(d, NULL), 0);
        assert_int_equal(out.len, 300000);
        assert_memory_equal(out.data, data, 300000);
        decoder_free(d);
    }
}

static void members_join(void **state)
{
    static const enum codec_kind kinds[] = {CODEC_GZIP, CODEC_ZSTD};
    for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
        autobuf struct buf in = BUF_INIT, out = BUF_INIT;
        struct decoder *d = decoder_new(kinds[k]);
        packed(kinds[k], "one ", 4, &in);
        packed(kinds[k], "two", 3, &in);
        assert_int_equal(decoder_feed(d, in.data, in.len, collect, &out, NULL), 0);
        assert_int_equal(decoder_finish(d, NULL), 0);
        assert_string_equal(out.data, "one two");
        decoder_free(d);
    }
}

static void damage_and_cuts_are_seen(void **state)
{
    static const enum codec_kind kinds[] = {CODEC_GZIP, CODEC_DEFLATE, CODEC_ZSTD};
    for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
        autobuf struct buf in = BUF_INIT, out = BUF_INIT;
        struct err err = ERR_INIT;
        struct decoder *d = decoder_new(kinds[k]);
        packed(kinds[k], "hello hello hello", 17, &in);
        assert_int_equal(decoder_feed(d, in.data, in.len - 3, collect, &out, &err), 0);
        assert_int_equal(decoder_finish(d, &err), -EBADMSG);
        assert_non_null(strstr(err.message, "ends inside"));
        decoder_free(d);
        d = decoder_new(kinds[k]);
        assert_int_equal(decoder_feed(d, "this is no such data", 20, collect, &out, &err), -EBADMSG);
        decoder_free(d);
    }
}

/* A few bytes that unpack to much are stopped by the sink, not collected. */
static void bomb_stops(void **state)
{
    autofree char *zeros = mem_alloc(MIB(8));
    autobuf struct buf in = BUF_INIT, out = BUF_INIT_MAX(KIB(128));
    struct decoder *d = decoder_new(CODEC_ZSTD);
    packed(CODEC_ZSTD, zeros, MIB(8), &in);
    assert_int_equal(decoder_feed(d, in.data, in.len, collect, &out, NULL), -EFBIG);
    decoder_free(d);
}

static void accepted(void **state)
{
    assert_int_equal(codec_accepted(NULL), CODEC_NONE);
    assert_int_equal(codec_accepted("gzip"), CODEC_GZIP);
    assert_int_equal(codec_accepted("br, gzip;q=0.5 , zstd"), CODEC_ZSTD);
    assert_int_equal(codec_accepted("zstd;q=0, gzip"), CODEC_GZIP);
    assert_int_equal(codec_accepted("identity, *"), CODEC_NONE);
    assert_int_equal(codec_accepted("a-very-long-name-of-an-encoding"), CODEC_NONE);
}

static void names(void **state)
{
    enum codec_kind k;
    assert_int_equal(codec_parse("GZip", &k), 0);
    assert_int_equal(k, CODEC_GZIP);
    assert_int_equal(codec_parse("lz4", &k), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back), cmocka_unit_test(members_join), cmocka_unit_test(damage_and_cuts_are_seen),
        cmocka_unit_test(bomb_stops),     cmocka_unit_test(accepted),     cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
