/* Signed desired documents for the operator's tests. */
#pragma once

#include "../test.h"

#include "blueprint/desired.h"

#define INFRA "99999999-9999-4999-8999-999999999999"
#define SERVICE_ID "11111111-1111-4111-8111-111111111111"
#define NO_HASH "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

/* A document with one service in `state`; free(). */
static inline char *document(const char *infrastructure, int64_t version, const char *state, bool delete_data)
{
    return mem_printf(
        "{\"type\":\"ownhouse/desired\",\"v\":1,\"infrastructure\":\"%s\",\"version\":%lld,"
        "\"issuedAt\":\"2026-11-22T12:00:00.000Z\",\"domain\":\"laptop.test\",\"services\":[{\"id\":\"" SERVICE_ID
        "\",\"name\":\"demo\",\"slug\":\"demo\",\"ordinal\":1,\"state\":\"%s\",\"deleteData\":%s,"
        "\"replicas\":1,\"memoryGb\":1,\"users\":[{\"name\":\"default\",\"sha256\":\"" NO_HASH "\"}],"
        "\"ipAccessList\":[\"0.0.0.0/0\",\"::/0\"]}]}",
        infrastructure, (long long)version, state, delete_data ? "true" : "false");
}

static inline void sign(const struct signing_key *key, const char *infrastructure, int64_t version, const char *text,
                        char out[2 * ED25519_SIGNATURE_SIZE + 1])
{
    unsigned char signature[ED25519_SIGNATURE_SIZE];
    autobuf struct buf statement = BUF_INIT;
    desired_statement(infrastructure, version, text, strlen(text), &statement);
    signing_key_sign(key, statement.data, statement.len, signature);
    hex_encode(signature, sizeof(signature), out);
}
