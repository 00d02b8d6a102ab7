/* The asking side of the outward role. */
#include "control/outward.h"

#include "base/clock.h"
#include "base/mem.h"

#include <poll.h>
#include <sys/socket.h>

static int hand_over(int fd, const char *text, size_t len, int answer_fd)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec part = {(void *)(uintptr_t)text, len};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.space, .msg_controllen = sizeof(control.space)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&message);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &answer_fd, sizeof(int));
    return sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

static int hear(int fd, json_t **ret, struct err *err)
{
    autofree char *text = mem_alloc(OUTWARD_MESSAGE_MAX);
    int64_t deadline = clock_mono_ms(&clock_system) + OUTWARD_TIMEOUT_MS;
    for (;;) {
        struct pollfd p = {fd, POLLIN, 0};
        int64_t left = deadline - clock_mono_ms(&clock_system);
        int ready = left > 0 ? poll(&p, 1, (int)left) : 0;
        if (ready < 0 && errno == EINTR)
            continue;
        if (ready <= 0)
            return err_set(err, -ETIMEDOUT, "the outward role did not answer in time");
        ssize_t n = recv(fd, text, OUTWARD_MESSAGE_MAX, MSG_DONTWAIT | MSG_TRUNC);
        if (n <= 0)
            return err_set(err, -EPIPE, "the outward role ended; try again");
        return js_parse(text, (size_t)n, OUTWARD_MESSAGE_MAX, ret, err);
    }
}

static int ask(int fd, const json_t *question, json_t **ret, struct err *err)
{
    int pair[2];
    if (!question)
        return err_set(err, -EINVAL, "the question to the outward role is not text");
    if (fd < 0)
        return err_set(err, -ENOENT, "neither mail nor an identity provider is configured");
    autofree char *text = js_text(question);
    size_t len = strlen(text);
    if (len > OUTWARD_MESSAGE_MAX)
        return err_set(err, -EMSGSIZE, "a request of %zu bytes is too long for the outward role", len);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return err_set_errno(err, -errno, "cannot make a socket pair");
    autoclose int mine = pair[0];
    int r = hand_over(fd, text, len, pair[1]);
    close(pair[1]);
    mem_wipe(text, len);
    if (r < 0)
        return err_set_errno(err, r, "cannot reach the outward role");
    autojson json_t *answer = NULL;
    const char *refused = NULL;
    int64_t code = -EIO;
    r = hear(mine, &answer, err);
    if (r == 0)
        r = js_string_opt(answer, "outward", "error", ERR_MESSAGE_MAX, &refused, err);
    if (r == 0)
        r = js_int_opt(answer, "outward", "code", -4095, -1, &code, err);
    if (r == 0 && refused)
        r = err_set(err, (int)code, "%s", refused);
    if (r == 0)
        *ret = TAKE_PTR(answer);
    return r;
}

int outward_mail(int fd, const char *to, const char *subject, const char *text, struct err *err)
{
    autojson json_t *q = json_pack("{s:s,s:s,s:s,s:s}", "op", "mail", "to", to, "subject", subject, "text", text);
    autojson json_t *answer = NULL;
    return ask(fd, q, &answer, err);
}

int outward_oidc_start(int fd, char **ret_endpoint, struct err *err)
{
    autojson json_t *q = json_pack("{s:s}", "op", "oidc-start"), *answer = NULL;
    const char *endpoint;
    int r = ask(fd, q, &answer, err);
    if (r == 0)
        r = js_string(answer, "outward", "endpoint", 2048, &endpoint, err);
    if (r == 0)
        *ret_endpoint = mem_strdup(endpoint);
    return r;
}

int outward_oidc_finish(int fd, const char *code, const char *verifier, const char *nonce, json_t **ret_claims,
                        struct err *err)
{
    autojson json_t *q =
        json_pack("{s:s,s:s,s:s,s:s}", "op", "oidc-finish", "code", code, "verifier", verifier, "nonce", nonce);
    autojson json_t *answer = NULL;
    json_t *claims;
    int r = ask(fd, q, &answer, err);
    if (r == 0)
        r = js_object(answer, "outward", "claims", &claims, err);
    if (r == 0)
        *ret_claims = json_incref(claims);
    return r;
}
