/* Asks the gate for the customer. */
#include "agent/gate_ask.h"

#include "agent/gate/gate.h"
#include "base/mem.h"
#include "base/unix_socket.h"

#include <sys/socket.h>
#include <sys/time.h>

#define ANSWER_MAX KIB(160)
#define WAIT_S 15
#define ANSWERS_MAX 1000 /* of others, before ours */

static int connect_gate(const struct agent_config *c, struct err *err)
{
    struct timeval wait = {.tv_sec = WAIT_S};
    autofree char *path = agent_path(c, GATE_CONTROL_SOCKET);
    autoclose int fd = unix_connect(path, SOCK_SEQPACKET, NULL);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) < 0)
        return err_set(err, -ENOTCONN, "no gate runs here: is the agent running?");
    return oh_take_fd(&fd);
}

static bool fits(const json_t *m, const char *answer, const char *grant)
{
    const char *type = json_string_value(json_object_get(m, "type"));
    const char *id = json_string_value(json_object_get(m, "grant"));
    return type && !strcmp(type, answer) && (!grant || (id && !strcmp(id, grant)));
}

int gate_ask(const struct agent_config *c, json_t *message, const char *answer, const char *grant, json_t **ret,
             struct err *err)
{
    autojson json_t *owned = message;
    autofree char *text = js_text(owned), *in = mem_alloc(ANSWER_MAX);
    autoclose int fd = connect_gate(c, err);
    if (fd < 0)
        return fd;
    if (send(fd, text, strlen(text), MSG_NOSIGNAL) != (ssize_t)strlen(text))
        return err_set_errno(err, -errno, "the gate cannot be asked");
    for (int i = 0; i < ANSWERS_MAX; i++) {
        autojson json_t *m = NULL;
        ssize_t n = recv(fd, in, ANSWER_MAX, 0);
        if (n <= 0)
            return err_set(err, -ETIMEDOUT, "the gate did not answer within %d s", WAIT_S);
        if (js_parse(in, (size_t)n, ANSWER_MAX, &m, NULL) < 0 || !fits(m, answer, grant))
            continue;
        if (ret)
            *ret = TAKE_PTR(m);
        return 0;
    }
    return err_set(err, -ETIMEDOUT, "the gate does not answer");
}
