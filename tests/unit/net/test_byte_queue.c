/* net/byte_queue: order, and that what was taken is given back. */
#include "../test.h"

#include "net/byte_queue.h"

#define PIECE BYTE_QUEUE_PIECE

static char content(size_t i)
{
    return (char)(i * 7 + i / 251);
}

static void add(struct byte_queue *q, size_t from, size_t len)
{
    static char some[8 * PIECE];
    for (size_t i = 0; i < len; i++)
        some[i] = content(from + i);
    byte_queue_add(q, some, len);
}

/* Takes up to len bytes, comparing them. */
static size_t take(struct byte_queue *q, size_t from, size_t len)
{
    size_t taken = 0, n;
    const char *data;
    while (taken < len && (data = byte_queue_front(q, &n))) {
        n = MIN(n, len - taken);
        for (size_t i = 0; i < n; i++)
            if (data[i] != content(from + taken + i))
                fail_msg("byte %zu differs", from + taken + i);
        byte_queue_take(q, n);
        taken += n;
    }
    return taken;
}

static void bytes_come_out_in_order(void **state OH_UNUSED)
{
    static const size_t sizes[] = {1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, 7, 0, 8 * PIECE, 12};
    struct byte_queue q = {0};
    size_t in = 0, out = 0, n;
    assert_null(byte_queue_front(&q, &n));
    assert_int_equal(n, 0);
    for (int round = 0; round < 200; round++) {
        size_t size = sizes[(size_t)round % ARRAY_SIZE(sizes)];
        add(&q, in, size);
        in += size;
        out += take(&q, out, sizes[(size_t)(round * 5 + 3) % ARRAY_SIZE(sizes)]);
        assert_int_equal(q.len, in - out);
        assert_true(byte_queue_memory(&q) < q.len + 2 * PIECE + 64 * (q.len / PIECE + 2)); /* two that are not full */
    }
    out += take(&q, out, in - out);
    assert_int_equal(out, in);
    assert_int_equal(q.len, 0);
    assert_int_equal(byte_queue_memory(&q), 0); /* an empty one holds nothing */
}

static void what_is_taken_is_given_back(void **state OH_UNUSED)
{
    struct byte_queue q = {0};
    for (size_t i = 0; i < 64; i++)
        add(&q, i * 4 * PIECE, 4 * PIECE);
    assert_in_range(byte_queue_memory(&q), 256 * PIECE, 260 * PIECE);
    assert_int_equal(take(&q, 0, 255 * PIECE), 255 * PIECE);
    assert_in_range(byte_queue_memory(&q), PIECE, 2 * PIECE);
    byte_queue_take(&q, SIZE_MAX); /* at most all */
    assert_int_equal(byte_queue_memory(&q), 0);
    add(&q, 0, 5);
    byte_queue_free(&q);
    assert_int_equal(byte_queue_memory(&q), 0);
    add(&q, 9, 5); /* as good as new */
    assert_int_equal(take(&q, 9, 100), 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_come_out_in_order),
        cmocka_unit_test(what_is_taken_is_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
