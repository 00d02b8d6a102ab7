/* The asking side of the ledger's socket. */
#include "agent/ledger/client.h"

#include "base/clock.h"
#include "base/keys.h"
#include "base/mem.h"

#include <poll.h>
#include <sys/socket.h>

static int receive(int fd, int64_t id, int64_t deadline, json_t **ret, struct err *err)
{
    autofree char *text = mem_alloc(LEDGER_MESSAGE_MAX);
    for (;;) {
        struct pollfd p = {fd, POLLIN, 0};
        int64_t left = deadline - clock_mono_ms(&clock_system);
        if (left <= 0 || poll(&p, 1, (int)left) == 0)
            return err_set(err, -ETIMEDOUT, "the ledger did not answer within %d s", LEDGER_TIMEOUT_MS / 1000);
        ssize_t n = recv(fd, text, LEDGER_MESSAGE_MAX, MSG_DONTWAIT | MSG_TRUNC);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (n <= 0)
            return err_set_errno(err, n < 0 ? -errno : -EPIPE, "cannot hear the ledger");
        autojson json_t *v = NULL;
        int r = js_parse(text, (size_t)n, LEDGER_MESSAGE_MAX, &v, err);
        if (r < 0)
            return r;
        /* An answer to a question that timed out, or that was asked by the process before us, is skipped. */
        if (json_integer_value(json_object_get(v, "id")) != id)
            continue;
        *ret = TAKE_PTR(v);
        return 0;
    }
}

static int64_t new_id(void)
{
    uint64_t raw;
    random_bytes(&raw, sizeof(raw));
    return (int64_t)(raw >> 12 | 1); /* 52 bits, never 0 */
}

static int send_object(int fd, const json_t *question, struct err *err)
{
    autofree char *text = js_text(question);
    size_t len = strlen(text);
    if (fd < 0)
        return err_set(err, -ENOTCONN, "this process has no way to the ledger");
    if (len > LEDGER_MESSAGE_MAX)
        return err_set(err, -EMSGSIZE, "an entry of %zu bytes is too long for the ledger", len);
    if (send(fd, text, len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        return err_set_errno(err, -errno, "cannot reach the ledger");
    return 0;
}

static int ask(int fd, json_t *question, json_t **ret, struct err *err)
{
    int64_t id = new_id();
    autojson json_t *answer = NULL;
    const char *refused = NULL;
    json_object_set_new(question, "id", json_integer(id));
    int r = send_object(fd, question, err);
    if (r == 0)
        r = receive(fd, id, clock_mono_ms(&clock_system) + LEDGER_TIMEOUT_MS, &answer, err);
    if (r == 0)
        r = js_string_opt(answer, "ledger", "error", ERR_MESSAGE_MAX, &refused, err);
    if (r == 0 && refused)
        r = err_set(err, -EACCES, "the ledger: %s", refused);
    if (r == 0)
        *ret = TAKE_PTR(answer);
    return r;
}

int ledger_ask_append(int fd, const char *kind, const json_t *body, uint64_t *ret_index, struct err *err)
{
    autojson json_t *q = json_object(), *answer = NULL;
    int64_t index = 0;
    json_object_set_new(q, "op", json_string("append"));
    json_object_set_new(q, "kind", json_string(kind));
    json_object_set_new(q, "body", json_deep_copy(body));
    int r = ask(fd, q, &answer, err);
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
    (void)!send_object(fd, q, NULL);
}

int ledger_ask_checkpoint(int fd, struct err *err)
{
    autojson json_t *q = json_pack("{ss}", "op", "checkpoint"), *answer = NULL;
    return ask(fd, q, &answer, err);
}

int ledger_ask_status(int fd, json_t **ret, struct err *err)
{
    autojson json_t *q = json_pack("{ss}", "op", "status");
    return ask(fd, q, ret, err);
}

int ledger_ask_witness(int fd, uint64_t from, json_t **ret, struct err *err)
{
    autojson json_t *q = json_pack("{ss sI}", "op", "witness", "from", (json_int_t)from);
    return ask(fd, q, ret, err);
}

int ledger_ask_cosigned(int fd, const char *note, struct err *err)
{
    autojson json_t *q = json_pack("{ss ss}", "op", "cosigned", "note", note), *answer = NULL;
    if (!q)
        return err_set(err, -EINVAL, "the cosigned checkpoint is not text");
    return ask(fd, q, &answer, err);
}

int ledger_ask_leaves(int fd, uint64_t from, uint64_t n, json_t **ret, struct err *err)
{
    autojson json_t *q = json_pack("{ss sI sI}", "op", "leaves", "from", (json_int_t)from, "n", (json_int_t)n),
                    *answer = NULL;
    json_t *leaves = NULL;
    int r = ask(fd, q, &answer, err);
    if (r == 0)
        r = js_array(answer, "ledger", "leaves", 100000, &leaves, err);
    if (r == 0)
        *ret = json_incref(leaves);
    return r;
}
