/* The API's door: a method, a path with query, headers and a body against the embedded contract. The first line is
 * "METHOD PATH?QUERY", the second the Content-Type, the third the Idempotency-Key, the rest the body. */
#include "control/api/contract.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

extern const char embedded_openapi[];
extern const size_t embedded_openapi_len;

static size_t split_query(char *query, struct contract_pair pairs[16])
{
    size_t n = 0;
    char *save = NULL;
    for (char *p = strtok_r(query, "&", &save); p && n < 16; p = strtok_r(NULL, "&", &save)) {
        char *equals = strchr(p, '=');
        if (equals)
            *equals = 0;
        pairs[n++] = (struct contract_pair){p, equals ? equals + 1 : ""};
    }
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct contract *contract;
    if (!contract && contract_load(embedded_openapi, embedded_openapi_len, &contract, NULL) < 0)
        abort();
    autoarena struct arena *arena = arena_new();
    automatch struct contract_match m = {0};
    struct contract_pair pairs[16];
    struct err err = ERR_INIT;
    char *text = arena_strndup(arena, (const char *)data, size), *rest = text;
    char *method = strsep(&rest, " "), *path = rest ? strsep(&rest, "\n") : NULL;
    char *type = rest ? strsep(&rest, "\n") : NULL, *key = rest ? strsep(&rest, "\n") : NULL;
    if (!path)
        return 0;
    char *query = strchr(path, '?');
    if (query)
        *query++ = 0;
    const struct contract_request q = {
        .method = method,
        .path = path,
        .query = pairs,
        .n_query = query ? split_query(query, pairs) : 0,
        .content_type = type,
        .idempotency_key = key,
        .body = rest,
        .body_len = rest ? strlen(rest) : 0,
    };
    int r = contract_find(contract, method, path, arena, &m, &err);
    if (r == 0)
        r = contract_check(contract, &q, &m, &err);
    /* A refusal always has its sentence; an acceptance has both parts. */
    if (r < 0 ? !*err.message : !json_is_object(m.query) || !json_is_object(m.body))
        abort();
    return 0;
}
