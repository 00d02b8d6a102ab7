/* The asking side of the ledger's socket. */
#include "agent/ledger/client.h"

#include "base/ask.h"

static const struct ask_peer ledger = {"ledger", LEDGER_MESSAGE_MAX, LEDGER_TIMEOUT_MS};

int ledger_ask_append(int fd, const char *kind, const json_t *body, uint64_t *ret_index, struct err *err)
{
    autojson json_t *q = json_object(), *answer = NULL;
    int64_t index = 0;
    json_object_set_new(q, "op", json_string("append"));
    json_object_set_new(q, "kind", json_string(kind));
    json_object_set_new(q, "body", json_deep_copy(body));
    int r = ask(&ledger, fd, q, &answer, err);
    if (r == 0)
        r = js_int(answer, "ledger", "index", 0, INT64_MAX, &index, err);
    if (r == 0 && ret_index)
        *ret_index = (uint64_t)index;
    return r;
}

void ledger_tell_count(int fd, const char *what, int64_t n)
{
    autojson json_t *q = json_pack("{ss ss sI}", "op", "count", "what", what, "n", (json_int_t)n);
    /* Lost totals cost nothing but a number. */
    (void)!ask_tell(&ledger, fd, q, NULL);
}

int ledger_ask_checkpoint(int fd, struct err *err)
{
    autojson json_t *q = json_pack("{ss}", "op", "checkpoint"), *answer = NULL;
    return ask(&ledger, fd, q, &answer, err);
}

int ledger_ask_status(int fd, json_t **ret, struct err *err)
{
    autojson json_t *q = json_pack("{ss}", "op", "status");
    return ask(&ledger, fd, q, ret, err);
}

int ledger_ask_witness(int fd, uint64_t from, json_t **ret, struct err *err)
{
    autojson json_t *q = json_pack("{ss sI}", "op", "witness", "from", (json_int_t)from);
    return ask(&ledger, fd, q, ret, err);
}

int ledger_ask_cosigned(int fd, const char *note, struct err *err)
{
    autojson json_t *q = json_pack("{ss ss}", "op", "cosigned", "note", note), *answer = NULL;
    return ask(&ledger, fd, q, &answer, err);
}

int ledger_ask_cosign(int fd, const json_t *question, json_t **ret, struct err *err)
{
    static const char *const fields[] = {"verifier", "note", "from", "proof"};
    autojson json_t *q = json_pack("{ss}", "op", "cosign");
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
        json_object_set(q, fields[i], json_object_get(question, fields[i]));
    return ask(&ledger, fd, q, ret, err);
}

int ledger_ask_leaves(int fd, uint64_t from, uint64_t n, json_t **ret, struct err *err)
{
    autojson json_t *q = json_pack("{ss sI sI}", "op", "leaves", "from", (json_int_t)from, "n", (json_int_t)n),
                    *answer = NULL;
    json_t *leaves = NULL;
    int r = ask(&ledger, fd, q, &answer, err);
    if (r == 0)
        r = js_array(answer, "ledger", "leaves", 100000, &leaves, err);
    if (r == 0)
        *ret = json_incref(leaves);
    return r;
}
