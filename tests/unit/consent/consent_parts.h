/* A policy with two approvers and two vendors, and requests under it. */
#pragma once

#include "../test.h"

#include "base/clock.h"
#include "consent/consent.h"

#define INFRA "11111111-2222-4333-8444-555555555555"
#define REQUEST "aaaaaaaa-2222-4333-8444-555555555555"
#define NOW 1795000000000LL
#define HOUR 3600000LL

struct people {
    struct signing_key *a[2], *v[2], *stranger;
    struct policy *policy;
};

static inline json_t *key_json(const struct signing_key *k, const char *name)
{
    unsigned char public[32];
    char hex[65];
    signing_key_public(k, public);
    hex_encode(public, 32, hex);
    return json_pack("{ss ss}", "name", name, "key", hex);
}

static inline json_t *policy_json(struct people *p, const char *mode, const char *more)
{
    json_t *o = more ? json_loads(more, 0, NULL) : json_object();
    assert_non_null(o);
    if (!json_object_get(o, "version"))
        json_object_set_new(o, "version", json_integer(1));
    json_object_set_new(o, "type", json_string("ownhouse/policy"));
    json_object_set_new(o, "v", json_integer(1));
    json_object_set_new(o, "mode", json_string(mode));
    json_object_set_new(o, "approvers", json_pack("[o o]", key_json(p->a[0], "ada"), key_json(p->a[1], "bob")));
    json_object_set_new(o, "vendors", json_pack("[o o]", key_json(p->v[0], "vera"), key_json(p->v[1], "vic")));
    return o;
}

static inline void people_new(struct people *p, const char *mode, const char *more)
{
    struct err err = ERR_INIT;
    for (int i = 0; i < 2; i++) {
        p->a[i] = signing_key_new();
        p->v[i] = signing_key_new();
    }
    p->stranger = signing_key_new();
    autojson json_t *o = policy_json(p, mode, more);
    int r = policy_from_json(o, &p->policy, &err);
    if (r < 0)
        print_message("%s\n", err.message);
    assert_int_equal(r, 0);
}

static inline void people_free(struct people *p)
{
    for (int i = 0; i < 2; i++) {
        signing_key_free(p->a[i]);
        signing_key_free(p->v[i]);
    }
    signing_key_free(p->stranger);
    policy_free(p->policy);
}

static inline json_t *request_json(const char *operation)
{
    char created[CLOCK_ISO_SIZE], until[CLOCK_ISO_SIZE];
    clock_iso(NOW - 1000, created);
    clock_iso(NOW + HOUR, until);
    return json_pack("{ss si ss ss s[s] s{ss} ss ss ss ss ss}", "type", "ownhouse/request", "v", 1, "id", REQUEST,
                     "infrastructure", INFRA, "operations", operation, "arguments", "service", "demo", "reason", "slow",
                     "ticket", "T-1", "by", "eve@vendor", "createdAt", created, "notAfter", until);
}

static inline void request_make(json_t *o, struct consent_request *q)
{
    struct err err = ERR_INIT;
    int r = request_from_json(o, q, &err);
    if (r < 0)
        print_message("%s\n", err.message);
    assert_int_equal(r, 0);
    json_decref(o);
}

static inline struct approval approve(const struct signing_key *k, const struct consent_request *q, bool deny,
                                      const struct approval *seen, size_t n)
{
    struct approval a = {0};
    autojson json_t *o = NULL;
    assert_int_equal(approval_sign(k, q, deny, NOW, NOW + HOUR, seen, n, &o, NULL), 0);
    assert_int_equal(approval_from_json(o, &a, NULL), 0);
    return a;
}

static inline struct consent_verdict check(const struct people *p, const struct consent_request *q,
                                           const struct approval *a, size_t n)
{
    struct consent_input in = {
        .policy = p->policy, .request = q, .infrastructure = INFRA, .approvals = a, .n_approvals = n, .now_ms = NOW};
    struct consent_verdict v;
    consent_check(&in, &v);
    return v;
}
