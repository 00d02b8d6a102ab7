/* The outward role: carries questions of the other roles to the mail server and the identity provider. */
#include "base/log.h"
#include "base/mem.h"
#include "control/api/lane.h"
#include "control/outward.h"
#include "control/outward/mail.h"
#include "control/outward/provider.h"
#include "control/role.h"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>

#define THREADS 4
#define QUEUE 64

struct outward {
    struct role *role;
    struct oidc_provider *provider;
    struct lane *lane;
};

struct question {
    struct outward *outward;
    enum role_id asker;
    int answer_fd;
    size_t len;
    char text[];
};

static int answer_mail(struct outward *o, const json_t *q, json_t *answer, struct err *err)
{
    struct mail m = {.now_ms = clock_wall_ms(&clock_system)};
    int r = js_string(q, "", "to", 254, &m.to, err);
    if (r == 0)
        r = js_string(q, "", "subject", 500, &m.subject, err);
    if (r == 0)
        r = js_string(q, "", "text", MAIL_TEXT_MAX, &m.text, err);
    return r < 0 ? r : mail_send(&o->role->config, &m, err);
}

static int answer_start(struct outward *o, const json_t *q, json_t *answer, struct err *err)
{
    autofree char *endpoint = NULL;
    int r = oidc_provider_start(o->provider, &endpoint, err);
    return r < 0 ? r : json_object_set_new(answer, "endpoint", json_string(endpoint));
}

static int answer_finish(struct outward *o, const json_t *q, json_t *answer, struct err *err)
{
    const char *code, *verifier, *nonce;
    json_t *claims = NULL;
    int r = js_string(q, "", "code", 4096, &code, err);
    if (r == 0)
        r = js_string(q, "", "verifier", 128, &verifier, err);
    if (r == 0)
        r = js_string(q, "", "nonce", 128, &nonce, err);
    if (r == 0)
        r = oidc_provider_finish(o->provider, code, verifier, nonce, &claims, err);
    return r < 0 ? r : json_object_set_new(answer, "claims", claims);
}

/* Who may ask what. */
static const struct {
    const char *op;
    unsigned askers; /* bits of enum role_id */
    int (*answer)(struct outward *o, const json_t *q, json_t *answer, struct err *err);
} rules[] = {
    {"mail", 1 << ROLE_API | 1 << ROLE_CONTROLLER, answer_mail},
    {"oidc-start", 1 << ROLE_API, answer_start},
    {"oidc-finish", 1 << ROLE_API, answer_finish},
};

static int decide(struct question *q, const json_t *asked, json_t *answer, struct err *err)
{
    const char *op;
    int r = js_string(asked, "", "op", 64, &op, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
        if (!strcmp(op, rules[i].op) && rules[i].askers & 1u << q->asker)
            return rules[i].answer(q->outward, asked, answer, err);
    return err_set(err, -EPERM, "the %s role may not ask for this", role_names[q->asker]);
}

static void answer_question(void *data)
{
    struct question *q = data;
    struct err err = ERR_INIT;
    autojson json_t *asked = NULL, *answer = json_object();
    int r = js_parse(q->text, q->len, OUTWARD_MESSAGE_MAX, &asked, &err);
    if (r == 0)
        r = decide(q, asked, answer, &err);
    if (r < 0) {
        log_warn("could not", "asker", role_names[q->asker], "error", err.message);
        json_object_clear(answer);
        json_object_set_new(answer, "error", json_string(err.message));
        json_object_set_new(answer, "code", json_integer(err.code ? err.code : r));
    }
    autofree char *out = js_text(answer);
    if (send(q->answer_fd, out, strlen(out), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        log_debug("nobody waits for the answer any more", "asker", role_names[q->asker]);
    close(q->answer_fd);
    mem_wipe(q->text, q->len);
    free(q);
}

/* The one descriptor that came along, or -1; more are closed. */
static int take_fd(struct msghdr *message)
{
    int found = -1;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t i = 0; i < (c->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
            if (found < 0)
                found = fd;
            else
                close(fd);
        }
    }
    return found;
}

static void receive(struct outward *o, int fd, enum role_id asker, char *text)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(4 * sizeof(int))];
    } control;
    struct iovec part = {text, OUTWARD_MESSAGE_MAX};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.space, .msg_controllen = sizeof(control.space)};
    ssize_t n = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    int answer_fd = n < 0 ? -1 : take_fd(&message);
    if (n <= 0 || answer_fd < 0 || message.msg_flags & MSG_TRUNC) {
        if (answer_fd >= 0)
            close(answer_fd);
        return;
    }
    struct question *q = mem_alloc(sizeof(*q) + (size_t)n);
    *q = (struct question){.outward = o, .asker = asker, .answer_fd = answer_fd, .len = (size_t)n};
    memcpy(q->text, text, (size_t)n);
    mem_wipe(text, (size_t)n);
    if (lane_submit(o->lane, answer_question, q) < 0) { /* the closed descriptor is the answer */
        log_warn("too many questions at once", "asker", role_names[asker]);
        close(answer_fd);
        free(q);
    }
}

static void serve(struct outward *o, int signals)
{
    autofree char *text = mem_alloc(OUTWARD_MESSAGE_MAX);
    struct pollfd fds[ROLE_COUNT + 1];
    for (int i = 0; i < ROLE_COUNT; i++)
        fds[i] = (struct pollfd){o->role->outward_askers[i], POLLIN, 0};
    fds[ROLE_COUNT] = (struct pollfd){signals, POLLIN, 0};
    while (!fds[ROLE_COUNT].revents) {
        if (poll(fds, ROLE_COUNT + 1, -1) < 0 && errno != EINTR)
            return;
        for (int i = 0; i < ROLE_COUNT; i++) {
            if (fds[i].revents & POLLIN)
                receive(o, fds[i].fd, (enum role_id)i, text);
            /* An asker whose every end is closed stays readable for ever. */
            if (fds[i].revents & POLLHUP)
                fds[i].fd = -1;
        }
    }
}

int role_outward_main(struct role *r)
{
    struct outward o = {.role = r};
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGTERM);
    sigaddset(&mask, SIGINT);
    pthread_sigmask(SIG_BLOCK, &mask, NULL); /* the threads inherit it */
    signal(SIGPIPE, SIG_IGN);
    autoclose int signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signals < 0) {
        log_error("cannot watch signals", "error", strerror(errno));
        return 1;
    }
    o.provider = oidc_provider_new(&r->config, &clock_system);
    o.lane = lane_new(THREADS, QUEUE);
    serve(&o, signals);
    lane_free(o.lane);
    oidc_provider_free(o.provider);
    return 0;
}
