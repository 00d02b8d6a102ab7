/* The asking side of the signer's socket. */
#include "control/signer.h"

#include "base/clock.h"
#include "base/js.h"
#include "base/keys.h"
#include "base/mem.h"

#include <poll.h>
#include <sys/socket.h>

#define SIGNER_TIMEOUT_MS 5000

static int receive(int fd, int64_t id, int64_t deadline, json_t **ret, struct err *err)
{
    autofree char *text = mem_alloc(SIGNER_MESSAGE_MAX);
    for (;;) {
        struct pollfd p = {fd, POLLIN, 0};
        int64_t left = deadline - clock_mono_ms(&clock_system);
        if (left <= 0 || poll(&p, 1, (int)left) == 0)
            return err_set(err, -ETIMEDOUT, "the signer did not answer within %d s", SIGNER_TIMEOUT_MS / 1000);
        ssize_t n = recv(fd, text, SIGNER_MESSAGE_MAX, MSG_DONTWAIT | MSG_TRUNC);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (n <= 0)
            return err_set_errno(err, n < 0 ? -errno : -EPIPE, "cannot hear the signer");
        autojson json_t *v = NULL;
        int r = js_parse(text, (size_t)n, SIGNER_MESSAGE_MAX, &v, err);
        if (r < 0)
            return r;
        /* An answer to a question that timed out earlier is skipped. */
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

static int ask(int fd, json_t *question, json_t **ret, struct err *err)
{
    int64_t id = new_id();
    json_object_set_new(question, "id", json_integer(id));
    autofree char *text = js_text(question);
    size_t len = strlen(text);
    if (len > SIGNER_MESSAGE_MAX)
        return err_set(err, -EMSGSIZE, "a request of %zu bytes is too long for the signer", len);
    if (send(fd, text, len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        return err_set_errno(err, -errno, "cannot reach the signer");
    autojson json_t *answer = NULL;
    const char *refused = NULL;
    int r = receive(fd, id, clock_mono_ms(&clock_system) + SIGNER_TIMEOUT_MS, &answer, err);
    if (r == 0)
        r = js_string_opt(answer, "signer", "error", ERR_MESSAGE_MAX, &refused, err);
    if (r == 0 && refused)
        r = err_set(err, -EACCES, "the signer refused: %s", refused);
    if (r == 0)
        *ret = TAKE_PTR(answer);
    return r;
}

static int certificate(int fd, json_t *question, char **ret, struct err *err)
{
    autojson json_t *answer = NULL;
    const char *chain;
    int r = ask(fd, question, &answer, err);
    if (r == 0)
        r = js_string(answer, "signer", "certificate", SIGNER_MESSAGE_MAX, &chain, err);
    if (r == 0)
        *ret = mem_strdup(chain);
    return r;
}

int signer_agent_certificate(int fd, const char *agent_id, const char *csr_pem, char **ret_chain_pem, struct err *err)
{
    autojson json_t *q = json_pack("{s:s,s:s,s:s}", "op", "agent-certificate", "agent", agent_id, "csr", csr_pem);
    if (!q)
        return err_set(err, -EINVAL, "the certificate request is not text");
    return certificate(fd, q, ret_chain_pem, err);
}

int signer_server_certificate(int fd, const char *csr_pem, char **ret_chain_pem, struct err *err)
{
    autojson json_t *q = json_pack("{s:s,s:s}", "op", "server-certificate", "csr", csr_pem);
    if (!q)
        return err_set(err, -EINVAL, "the certificate request is not text");
    return certificate(fd, q, ret_chain_pem, err);
}

int signer_desired(int fd, const char *infrastructure, int64_t version, const char digest_hex[65],
                   char ret_signature[129], struct err *err)
{
    autojson json_t *q = json_pack("{s:s,s:s,s:I,s:s}", "op", "desired", "infrastructure", infrastructure, "version",
                                   (json_int_t)version, "digest", digest_hex);
    autojson json_t *answer = NULL;
    const char *signature;
    int r = ask(fd, q, &answer, err);
    if (r == 0)
        r = js_string(answer, "signer", "signature", 128, &signature, err);
    if (r == 0)
        snprintf(ret_signature, 129, "%s", signature);
    return r;
}

int signer_totp_new(int fd, const char *user, char *ret_secret, size_t size, char **ret_sealed, struct err *err)
{
    autojson json_t *q = json_pack("{s:s,s:s}", "op", "totp-new", "user", user);
    autojson json_t *answer = NULL;
    const char *secret, *sealed;
    int r = ask(fd, q, &answer, err);
    if (r == 0)
        r = js_string(answer, "signer", "secret", size - 1, &secret, err);
    if (r == 0)
        r = js_string(answer, "signer", "sealed", SIGNER_MESSAGE_MAX, &sealed, err);
    if (r < 0)
        return r;
    snprintf(ret_secret, size, "%s", secret);
    *ret_sealed = mem_strdup(sealed);
    return 0;
}

int signer_totp_check(int fd, const char *user, const char *sealed, const char *code, int64_t after, int64_t *ret_step,
                      struct err *err)
{
    autojson json_t *q = json_pack("{s:s,s:s,s:s,s:s,s:I}", "op", "totp-check", "user", user, "sealed", sealed, "code",
                                   code, "after", (json_int_t)after);
    autojson json_t *answer = NULL;
    int r = q ? ask(fd, q, &answer, err) : err_set(err, -EINVAL, "the code is not text");
    return r < 0 ? r : js_int(answer, "signer", "step", 0, INT64_MAX, ret_step, err);
}

int signer_witness(int fd, const char *infrastructure, const json_t *checkpoint, char **ret_note, uint64_t *ret_size,
                   struct err *err)
{
    static const char *const fields[] = {"verifier", "note", "from", "proof"};
    autojson json_t *q = json_pack("{s:s,s:s}", "op", "witness", "infrastructure", infrastructure), *answer = NULL;
    const char *note = NULL;
    int64_t size = 0;
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
        json_object_set(q, fields[i], json_object_get(checkpoint, fields[i]));
    int r = ask(fd, q, &answer, err);
    if (r == 0)
        r = js_string_opt(answer, "signer", "note", SIGNER_MESSAGE_MAX, &note, err);
    if (r == 0)
        r = js_int(answer, "signer", note ? "size" : "from", 0, INT64_MAX, &size, err);
    if (r < 0)
        return r;
    *ret_note = mem_strdup(note);
    *ret_size = (uint64_t)size;
    return 0;
}
