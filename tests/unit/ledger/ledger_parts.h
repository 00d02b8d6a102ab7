/* A ledger in a scratch folder, for the tests of ledger and verifier. */
#pragma once

#include "../test.h"

#include "ledger/ledger.h"
#include "ledger/verify.h"

struct bench {
    char *dir, *bucket;
    struct signing_key *key;
    struct clock_manual clock;
    struct ledger *l;
};

static inline void bench_open(struct bench *b)
{
    struct ledger_config c = {b->dir, "ownhouse/test", b->key, &b->clock.clock};
    struct err err = ERR_INIT;
    int r = ledger_open(&c, &b->l, &err);
    if (r < 0)
        print_message("%s\n", err.message);
    assert_int_equal(r, 0);
}

static inline void bench_new(struct bench *b, const char *scratch)
{
    *b = (struct bench){
        mem_printf("%s/ledger", scratch), mem_printf("%s/bucket", scratch), signing_key_new(), {{0}}, NULL};
    clock_manual_init(&b->clock, 1795000000000);
    bench_open(b);
}

static inline void bench_free(struct bench *b)
{
    ledger_close(b->l);
    signing_key_free(b->key);
    free(b->dir);
    free(b->bucket);
}

static inline void bench_reopen(struct bench *b)
{
    ledger_close(b->l);
    b->l = NULL;
    bench_open(b);
}

static inline void bench_add(struct bench *b, int n)
{
    for (int i = 0; i < n; i++) {
        autojson json_t *body = json_pack("{sI}", "n", (json_int_t)ledger_size(b->l));
        uint64_t index = 0, expected = ledger_size(b->l);
        clock_manual_advance(&b->clock, 100);
        assert_int_equal(ledger_append(b->l, "test", body, &index, NULL), 0);
        assert_int_equal(index, expected);
    }
}

static inline char *bench_tail(const struct bench *b)
{
    uint64_t first = ledger_size(b->l) ? (ledger_size(b->l) - 1) / 256 * 256 : 0;
    return mem_printf("%s/tail-%012llu", b->dir, (unsigned long long)first);
}

struct found {
    int n[LEDGER_UNSIGNED + 1];
    char last[512];
};

static inline void on_finding(enum ledger_finding kind, uint64_t index, const char *sentence, void *data)
{
    struct found *f = data;
    f->n[kind]++;
    snprintf(f->last, sizeof(f->last), "%s", sentence);
}

static inline struct ledger_verdict bench_verify(const struct bench *b, const char *dir, struct found *found,
                                                 const struct note_verifier *witness)
{
    struct ledger_verdict verdict = {0};
    struct ledger_verify v = {.dir = dir, .witness = witness, .on_finding = on_finding, .data = found};
    *found = (struct found){0};
    strcpy(v.log.name, "ownhouse/test");
    v.log.type = NOTE_ED25519;
    signing_key_public(b->key, v.log.key);
    assert_int_equal(ledger_verify(&v, &verdict, NULL), 0);
    return verdict;
}
