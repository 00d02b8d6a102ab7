/* Counts attempts to sign in. */
#include "control/identity/throttle.h"

#include "base/keys.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <pthread.h>

#define WAYS 8 /* counters among which a new one may take the place of the stillest */
#define FORGET_MS (3600 * 1000LL)
#define SECOND_MS 1000LL

struct counter {
    uint64_t key; /* 0 = free place */
    uint32_t failures;
    int64_t until, last; /* monotonic */
};

struct throttle {
    const struct clock *clock;
    pthread_mutex_t lock;
    unsigned char salt[16]; /* so that nobody can choose keys that fall together */
    struct counter counters[THROTTLE_COUNTERS];
};

enum kind { PAIR, ADDRESS, ACCOUNT, DEVICE };

static const struct {
    uint32_t free;
    int64_t ceiling_ms;
    bool cleared; /* by a success */
} rules[] = {
    [PAIR] = {5, 900 * SECOND_MS, true},
    [ADDRESS] = {20, 900 * SECOND_MS, false},
    [ACCOUNT] = {50, 4 * SECOND_MS, false},
    [DEVICE] = {10, 60 * SECOND_MS, true},
};

struct throttle *throttle_new(const struct clock *clock)
{
    struct throttle *t = mem_alloc(sizeof(*t));
    t->clock = clock;
    random_bytes(t->salt, sizeof(t->salt));
    if (pthread_mutex_init(&t->lock, NULL) != 0)
        abort();
    return t;
}

void throttle_free(struct throttle *t)
{
    if (!t)
        return;
    pthread_mutex_destroy(&t->lock);
    free(t);
}

/* A host is given a whole /64 of IPv6. */
static void network_of(const char *address, char ret[INET6_ADDRSTRLEN])
{
    unsigned char raw[16];
    snprintf(ret, INET6_ADDRSTRLEN, "%s", address);
    if (inet_pton(AF_INET6, address, raw) == 1) {
        memset(raw + 8, 0, 8);
        inet_ntop(AF_INET6, raw, ret, INET6_ADDRSTRLEN);
    }
}

static uint64_t key_of(const struct throttle *t, enum kind kind, const char *a, const char *b)
{
    unsigned char digest[SHA256_SIZE];
    autofree char *text = mem_printf("%d %zu %s %s", (int)kind, strlen(a), a, b);
    size_t len = strlen(text);
    autofree unsigned char *salted = mem_alloc(sizeof(t->salt) + len);
    uint64_t key;
    memcpy(salted, t->salt, sizeof(t->salt));
    memcpy(salted + sizeof(t->salt), text, len);
    sha256(salted, sizeof(t->salt) + len, digest);
    memcpy(&key, digest, sizeof(key));
    return key ? key : 1;
}

/* The counter of this key, or the place where it would be: free, forgotten, or the stillest. */
static struct counter *place_of(struct throttle *t, uint64_t key, int64_t now)
{
    struct counter *set = &t->counters[key % (THROTTLE_COUNTERS / WAYS) * WAYS], *best = set;
    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].key == key) {
            if (set[i].failures && MAX(set[i].until, set[i].last) + FORGET_MS <= now)
                set[i].failures = 0;
            return &set[i];
        }
        if (!set[i].key || set[i].last < best->last)
            best = &set[i];
    }
    return best;
}

static void count(struct counter *c, uint64_t key, enum kind kind, int64_t now)
{
    if (c->key != key)
        *c = (struct counter){.key = key};
    c->last = now;
    c->failures = MIN(c->failures + 1, 1u << 20);
    if (c->failures > rules[kind].free) {
        uint32_t shift = MIN(c->failures - rules[kind].free - 1, 20u);
        c->until = now + MIN(SECOND_MS << shift, rules[kind].ceiling_ms);
    }
}

struct keys {
    size_t n;
    enum kind kind[3];
    uint64_t key[3];
};

static void add(struct keys *k, const struct throttle *t, enum kind kind, const char *a, const char *b)
{
    k->kind[k->n] = kind;
    k->key[k->n++] = key_of(t, kind, a, b);
}

static void keys_of(const struct throttle *t, const struct throttle_attempt *a, struct keys *ret)
{
    char network[INET6_ADDRSTRLEN];
    *ret = (struct keys){0};
    network_of(a->address, network);
    if (a->account && a->device) {
        add(ret, t, DEVICE, a->account, a->device);
        return;
    }
    add(ret, t, ADDRESS, network, "");
    if (a->account) {
        add(ret, t, PAIR, a->account, network);
        add(ret, t, ACCOUNT, a->account, "");
    }
}

int64_t throttle_begin(struct throttle *t, const struct throttle_attempt *a)
{
    struct keys k;
    int64_t wait = 0;
    keys_of(t, a, &k);
    pthread_mutex_lock(&t->lock);
    int64_t now = clock_mono_ms(t->clock);
    for (size_t i = 0; i < k.n; i++) {
        const struct counter *c = place_of(t, k.key[i], now);
        if (c->key == k.key[i] && c->failures > rules[k.kind[i]].free)
            wait = MAX(wait, c->until - now);
    }
    for (size_t i = 0; wait <= 0 && i < k.n; i++)
        count(place_of(t, k.key[i], now), k.key[i], k.kind[i], now);
    pthread_mutex_unlock(&t->lock);
    return MAX(wait, (int64_t)0);
}

void throttle_recall(struct throttle *t, const char *address, int64_t age_ms)
{
    const struct throttle_attempt a = {.address = address};
    struct keys k;
    keys_of(t, &a, &k);
    pthread_mutex_lock(&t->lock);
    int64_t then = clock_mono_ms(t->clock) - MAX(age_ms, (int64_t)0);
    for (size_t i = 0; i < k.n; i++)
        count(place_of(t, k.key[i], then), k.key[i], k.kind[i], then);
    pthread_mutex_unlock(&t->lock);
}

static void take_back(struct throttle *t, const struct throttle_attempt *a, bool succeeded)
{
    struct keys k;
    keys_of(t, a, &k);
    pthread_mutex_lock(&t->lock);
    int64_t now = clock_mono_ms(t->clock);
    for (size_t i = 0; i < k.n; i++) {
        struct counter *c = place_of(t, k.key[i], now);
        if (c->key != k.key[i] || !c->failures || (rules[k.kind[i]].cleared && !succeeded))
            continue;
        c->failures = rules[k.kind[i]].cleared ? 0 : c->failures - 1;
        if (c->failures <= rules[k.kind[i]].free)
            c->until = 0;
    }
    pthread_mutex_unlock(&t->lock);
}

void throttle_code_asked(struct throttle *t, const struct throttle_attempt *a)
{
    take_back(t, a, false);
}

void throttle_succeeded(struct throttle *t, const struct throttle_attempt *a)
{
    take_back(t, a, true);
}
