/* Checks, keeps and reads back the desired document. */
#include "agent/operator/kept.h"

#include "base/fs.h"
#include "base/mem.h"

#define FILE_MAX (2 * DESIRED_MAX_BYTES + KIB(4)) /* the document as a JSON string: every byte of it may be escaped */

void kept_clear(struct kept *k)
{
    desired_free(k->desired);
    *k = (struct kept){0};
}

static int check_order(const struct kept *last, int64_t version, const char digest[65], struct err *err)
{
    if (version > last->version)
        return 0;
    if (version == last->version && !strcmp(digest, last->digest))
        return 1;
    if (version == last->version)
        return err_set(err, -ESTALE, "the desired document's version %lld was already accepted with other content",
                       (long long)version);
    return err_set(err, -ESTALE, "the desired document's version %lld is below %lld, the last one accepted",
                   (long long)version, (long long)last->version);
}

int kept_check(const struct kept_rules *rules, const struct kept *last, int64_t version, const char *document,
               size_t len, const char *signature_hex, struct kept *ret, struct err *err)
{
    struct kept k = {.version = version};
    if (len > DESIRED_MAX_BYTES)
        return err_set(err, -EMSGSIZE, "the desired document of %zu bytes is over the limit of %zu", len,
                       (size_t)DESIRED_MAX_BYTES);
    if (!desired_signature_valid(rules->desired_key, rules->infrastructure, version, document, len, signature_hex))
        return err_set(err, -EBADMSG,
                       "the desired document's signature is not by the key in this agent's bundle, for this "
                       "infrastructure and version %lld",
                       (long long)version);
    sha256_hex(document, len, k.digest);
    int r = check_order(last, version, k.digest, err);
    if (r != 0)
        return r;
    if ((r = desired_parse(document, len, &k.desired, err)) < 0)
        return err_wrap(err, r, "the desired document");
    if (strcmp(k.desired->infrastructure, rules->infrastructure))
        r = err_set(err, -EXDEV, "the desired document is for infrastructure %s, this agent serves %s",
                    k.desired->infrastructure, rules->infrastructure);
    else if (k.desired->version != version)
        r = err_set(err, -EINVAL, "the desired document says version %lld, its message %lld",
                    (long long)k.desired->version, (long long)version);
    if (r < 0)
        kept_clear(&k);
    else
        *ret = k;
    return r;
}

int kept_save(const char *path, int64_t version, const char *document, size_t len, const char *signature_hex,
              struct err *err)
{
    autojson json_t *o = json_pack("{s:i,s:I,s:s%,s:s}", "v", 1, "version", (json_int_t)version, "document", document,
                                   len, "signature", signature_hex);
    if (!o)
        return err_set(err, -EINVAL, "the desired document is not UTF-8 text");
    autofree char *text = js_text(o);
    return fs_write_atomic(path, text, strlen(text), 0600, err);
}

int kept_load(const char *path, const struct kept_rules *rules, struct kept *ret, struct err *err)
{
    static const char *const known[] = {"v", "version", "document", "signature", NULL};
    autofree char *text = NULL;
    autojson json_t *o = NULL;
    const char *document = NULL, *signature = NULL;
    const struct kept none = {0};
    int64_t version = 0, v = 0;
    size_t len = 0;
    if (!fs_exists(path))
        return -ENOENT;
    int r = fs_read(path, FILE_MAX, &text, &len, err);
    if (r < 0)
        return r;
    if ((r = js_parse(text, len, FILE_MAX, &o, err)) == 0 && (r = js_only(o, "", known, err)) == 0 &&
        (r = js_int(o, "", "v", 1, 1, &v, err)) == 0 &&
        (r = js_int(o, "", "version", 1, INT64_MAX, &version, err)) == 0 &&
        (r = js_string(o, "", "document", DESIRED_MAX_BYTES, &document, err)) == 0 &&
        (r = js_string(o, "", "signature", 128, &signature, err)) == 0)
        r = kept_check(rules, &none, version, document, strlen(document), signature, ret, err);
    return r < 0 ? err_wrap(err, r, "%s", path) : 0;
}
