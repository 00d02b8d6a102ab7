/* The asking side of the signer's socket. */
#include "control/signer.h"

#include "base/ask.h"
#include "base/mem.h"

static const struct ask_peer signer = {"signer", SIGNER_MESSAGE_MAX, 5000};

static int certificate(int fd, json_t *question, char **ret, struct err *err)
{
    autojson json_t *answer = NULL;
    const char *chain;
    int r = ask(&signer, fd, question, &answer, err);
    if (r == 0)
        r = js_string(answer, "signer", "certificate", SIGNER_MESSAGE_MAX, &chain, err);
    if (r == 0)
        *ret = mem_strdup(chain);
    return r;
}

int signer_agent_certificate(int fd, const char *agent_id, const char *csr_pem, char **ret_chain_pem, struct err *err)
{
    autojson json_t *q = json_pack("{s:s,s:s,s:s}", "op", "agent-certificate", "agent", agent_id, "csr", csr_pem);
    return certificate(fd, q, ret_chain_pem, err);
}

int signer_server_certificate(int fd, const char *csr_pem, char **ret_chain_pem, struct err *err)
{
    autojson json_t *q = json_pack("{s:s,s:s}", "op", "server-certificate", "csr", csr_pem);
    return certificate(fd, q, ret_chain_pem, err);
}

int signer_desired(int fd, const char *infrastructure, int64_t version, const char digest_hex[65],
                   char ret_signature[129], struct err *err)
{
    autojson json_t *q = json_pack("{s:s,s:s,s:I,s:s}", "op", "desired", "infrastructure", infrastructure, "version",
                                   (json_int_t)version, "digest", digest_hex);
    autojson json_t *answer = NULL;
    const char *signature;
    int r = ask(&signer, fd, q, &answer, err);
    if (r == 0)
        r = js_string(answer, "signer", "signature", 128, &signature, err);
    if (r == 0)
        snprintf(ret_signature, 129, "%s", signature);
    return r;
}

int signer_seal(int fd, const json_t *rows, int64_t *ret_last, bool *ret_signed, struct err *err)
{
    autojson json_t *q = json_pack("{s:s,s:O}", "op", "seal", "rows", rows);
    autojson json_t *answer = NULL;
    int r = ask(&signer, fd, q, &answer, err);
    if (r == 0)
        r = js_int(answer, "signer", "last", 0, INT64_MAX, ret_last, err);
    if (r == 0)
        *ret_signed = json_is_true(json_object_get(answer, "signed"));
    return r;
}

int signer_totp_new(int fd, const char *user, char *ret_secret, size_t size, char **ret_sealed, struct err *err)
{
    autojson json_t *q = json_pack("{s:s,s:s}", "op", "totp-new", "user", user);
    autojson json_t *answer = NULL;
    const char *secret, *sealed;
    int r = ask(&signer, fd, q, &answer, err);
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
    int r = ask(&signer, fd, q, &answer, err);
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
    int r = ask(&signer, fd, q, &answer, err);
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

int signer_activities(int fd, int64_t from, json_t **ret, struct err *err)
{
    autojson json_t *q = json_pack("{s:s,s:I}", "op", "activities", "from", (json_int_t)from);
    return ask(&signer, fd, q, ret, err);
}

int signer_activities_cosigned(int fd, const char *infrastructure, const json_t *message, struct err *err)
{
    autojson json_t *answer = NULL, *q = json_pack("{s:s,s:s,s:O,s:O}", "op", "activities-cosigned", "infrastructure",
                                                   infrastructure, "verifier", json_object_get(message, "verifier"),
                                                   "note", json_object_get(message, "note"));
    return ask(&signer, fd, q, &answer, err);
}
