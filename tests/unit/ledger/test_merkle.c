/* The tree against its definition, written out naively, and proofs against every way to bend them. */
#include "../test.h"

#include "base/buf.h"
#include "ledger/merkle.h"

#define LEAVES 70

static struct merkle_hash leaves[LEAVES];

/* RFC 6962 section 2.1, word for word. */
static void naive_root(const struct merkle_hash *h, size_t n, struct merkle_hash *ret)
{
    struct merkle_hash left, right;
    size_t k = 1;
    if (n == 1) {
        *ret = *h;
        return;
    }
    while (2 * k < n)
        k *= 2;
    naive_root(h, k, &left);
    naive_root(h + k, n - k, &right);
    merkle_node(&left, &right, ret);
}

static int subtree(unsigned level, uint64_t index, void *data, struct merkle_hash *ret, struct err *err)
{
    assert_true((index + 1) << level <= LEAVES);
    naive_root(leaves + (index << level), 1u << level, ret);
    return 0;
}

static const struct merkle_source source = {subtree, NULL};

static int make_leaves(void **state)
{
    for (unsigned i = 0; i < LEAVES; i++)
        merkle_leaf(&i, i % 5, &leaves[i]);
    return 0;
}

static void test_known_roots(void **state)
{
    /* The vectors of RFC 6962's reference implementation. */
    static const char *const roots[] = {"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                                        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
                                        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
                                        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
                                        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"};
    static const struct {
        const char *data;
        size_t len;
    } inputs[] = {{"", 0}, {"\x00", 1}, {"\x10", 1}, {"\x20\x21", 2}};
    struct merkle_edge e = {0};
    struct merkle_hash root, leaf;
    char hex[65];
    for (size_t i = 0; i < ARRAY_SIZE(roots); i++) {
        merkle_edge_root(&e, &root);
        hex_encode(root.b, sizeof(root.b), hex);
        assert_string_equal(hex, roots[i]);
        if (i < ARRAY_SIZE(inputs)) {
            merkle_leaf(inputs[i].data, inputs[i].len, &leaf);
            merkle_edge_add(&e, &leaf);
        }
    }
}

static void test_roots(void **state)
{
    struct merkle_edge e = {0};
    for (size_t n = 1; n <= LEAVES; n++) {
        struct merkle_hash a, b, c;
        merkle_edge_add(&e, &leaves[n - 1]);
        merkle_edge_root(&e, &a);
        naive_root(leaves, n, &b);
        assert_int_equal(merkle_root(&source, n, &c, NULL), 0);
        assert_true(merkle_equal(&a, &b) && merkle_equal(&a, &c));
    }
}

static void test_inclusion(void **state)
{
    for (size_t n = 1; n <= LEAVES; n++) {
        struct merkle_hash root;
        naive_root(leaves, n, &root);
        for (size_t i = 0; i < n; i++) {
            struct merkle_proof p;
            assert_int_equal(merkle_prove_inclusion(&source, i, n, &p, NULL), 0);
            assert_true(merkle_check_inclusion(&p, i, n, &leaves[i], &root));
            assert_false(merkle_check_inclusion(&p, i, n, &leaves[(i + 1) % LEAVES], &root));
            assert_false(merkle_check_inclusion(&p, n, n, &leaves[i], &root));
            if (n > 1) {
                assert_false(merkle_check_inclusion(&p, (i + 1) % n, n, &leaves[i], &root));
                p.n--;
                assert_false(merkle_check_inclusion(&p, i, n, &leaves[i], &root));
                p.n++;
            }
            p.hashes[p.n++] = leaves[0];
            assert_false(merkle_check_inclusion(&p, i, n, &leaves[i], &root));
        }
    }
}

static void test_consistency(void **state)
{
    for (size_t n = 1; n <= LEAVES; n++)
        for (size_t m = 1; m <= n; m++) {
            struct merkle_hash old, new, other;
            struct merkle_proof p;
            naive_root(leaves, m, &old);
            naive_root(leaves, n, &new);
            merkle_leaf("forged", 6, &other);
            assert_int_equal(merkle_prove_consistency(&source, m, n, &p, NULL), 0);
            assert_true(merkle_check_consistency(&p, m, n, &old, &new));
            assert_false(merkle_check_consistency(&p, m, n, &other, &new));
            if (m == n)
                continue;
            assert_false(merkle_check_consistency(&p, m, n, &old, &other));
            for (size_t i = 0; i < p.n; i++) {
                p.hashes[i].b[7] ^= 1;
                assert_false(merkle_check_consistency(&p, m, n, &old, &new));
                p.hashes[i].b[7] ^= 1;
            }
            p.n--;
            assert_false(merkle_check_consistency(&p, m, n, &old, &new));
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_roots),
        cmocka_unit_test(test_roots),
        cmocka_unit_test(test_inclusion),
        cmocka_unit_test(test_consistency),
    };
    return cmocka_run_group_tests(tests, make_leaves, NULL);
}
