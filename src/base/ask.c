/* Questions and answers between roles. */
#include "base/ask.h"

#include "base/clock.h"
#include "base/keys.h"
#include "base/mem.h"

#include <poll.h>
#include <sys/socket.h>

static int receive(const struct ask_peer *to, int fd, int64_t id, json_t **ret, struct err *err)
{
    autofree char *text = mem_alloc(to->message_max);
    int64_t deadline = clock_mono_ms(&clock_system) + to->timeout_ms;
    for (;;) {
        struct pollfd p = {fd, POLLIN, 0};
        int64_t left = deadline - clock_mono_ms(&clock_system);
        if (left <= 0 || poll(&p, 1, (int)left) == 0)
            return err_set(err, -ETIMEDOUT, "the %s did not answer within %d s", to->name, to->timeout_ms / 1000);
        ssize_t n = recv(fd, text, to->message_max, MSG_DONTWAIT | MSG_TRUNC);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (n <= 0)
            return err_set_errno(err, n < 0 ? -errno : -EPIPE, "cannot hear the %s", to->name);
        autojson json_t *v = NULL;
        int r = js_parse(text, (size_t)n, to->message_max, &v, err);
        if (r < 0)
            return r;
        if (json_integer_value(json_object_get(v, "id")) != id)
            continue;
        *ret = TAKE_PTR(v);
        return 0;
    }
}

/* Random, not counted: the socket outlives us, and what was answered to a process before us may lie in it still. Never
 * 0, which an answer without an id would have; 52 bits, which JSON carries exactly. */
static int64_t new_id(void)
{
    uint64_t raw;
    random_bytes(&raw, sizeof(raw));
    return (int64_t)(raw >> 12 | 1);
}

int ask_tell(const struct ask_peer *to, int fd, const json_t *message, struct err *err)
{
    if (!message)
        return err_set(err, -EINVAL, "the question to the %s is not text", to->name);
    if (fd < 0)
        return err_set(err, -ENOTCONN, "this process has no way to the %s", to->name);
    autofree char *text = js_text(message);
    size_t len = strlen(text);
    ssize_t n = 0;
    if (len > to->message_max)
        return err_set(err, -EMSGSIZE, "a message of %zu bytes is too long for the %s", len, to->name);
    do
        n = send(fd, text, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    int r = n < 0 ? -errno : 0;
    mem_wipe(text, len);
    return r < 0 ? err_set_errno(err, r, "cannot reach the %s", to->name) : 0;
}

int ask(const struct ask_peer *to, int fd, json_t *question, json_t **ret, struct err *err)
{
    int64_t id = new_id();
    autojson json_t *answer = NULL;
    const char *refused = NULL;
    if (question)
        json_object_set_new(question, "id", json_integer(id));
    int r = ask_tell(to, fd, question, err);
    if (r == 0)
        r = receive(to, fd, id, &answer, err);
    if (r == 0)
        r = js_string_opt(answer, to->name, "error", ERR_MESSAGE_MAX, &refused, err);
    if (r == 0 && refused)
        r = err_set(err, -EACCES, "the %s refused: %s", to->name, refused);
    if (r == 0)
        *ret = TAKE_PTR(answer);
    return r;
}

int ask_serve(size_t message_max, int fd,
              int (*decide)(void *user, const json_t *question, json_t *answer, struct err *err), void *user,
              struct err *err)
{
    autofree char *text = mem_alloc(message_max);
    autojson json_t *q = NULL, *answer = json_object();
    struct err why = ERR_INIT;
    /* MSG_TRUNC gives the whole length, so that the head of a longer message is not taken for a question. */
    ssize_t n = recv(fd, text, message_max, MSG_DONTWAIT | MSG_TRUNC);
    if (n <= 0)
        return 0;
    int r = js_parse(text, (size_t)n, message_max, &q, &why);
    mem_wipe(text, MIN((size_t)n, message_max));
    if (r == 0)
        r = decide(user, q, answer, &why);
    if (r < 0) {
        json_object_clear(answer);
        json_object_set_new(answer, "error", json_string(why.message));
        err_set(err, r, "%s", why.message);
    }
    json_t *id = q ? json_object_get(q, "id") : NULL;
    if (!id)
        return r;
    json_object_set(answer, "id", id);
    autofree char *out = js_text(answer);
    size_t len = strlen(out);
    if (send(fd, out, len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && r == 0)
        r = err_set_errno(err, -errno, "cannot answer");
    mem_wipe(out, len);
    return r;
}
