/* Holds back desired documents that the customer has not signed. */
#include "agent/consent/sealed.h"

#include "base/fs.h"
#include "base/mem.h"
#include "consent/fields.h"

#define DOCUMENT_MAX MIB(8)
#define LIFE_MS (12 * 3600000LL)

static int read_json(const char *path, json_t **ret, struct err *err)
{
    autofree char *text = NULL;
    size_t len = 0;
    *ret = NULL;
    if (!fs_exists(path))
        return 0;
    int r = fs_read(path, DOCUMENT_MAX, &text, &len, err);
    return r < 0 ? r : js_parse(text, len, DOCUMENT_MAX, ret, err);
}

static int load_before(const struct sealed *s, json_t **ret, struct err *err)
{
    autojson json_t *file = NULL;
    int r = read_json(s->kept_path, &file, err);
    const char *text = json_string_value(json_object_get(file, "document"));
    *ret = NULL;
    return r < 0 || !text ? r : js_parse(text, strlen(text), DOCUMENT_MAX, ret, err);
}

/* What an approval is bound to beside the changes: all that is in force and needs consent. */
static int digest_of_state(const json_t *before, char ret[65], struct err *err)
{
    autojson json_t *all = NULL;
    enum operation_class worst;
    fields_diff(NULL, before ? before : json_null(), &all, &worst);
    return js_digest(all, ret, err);
}

static const char *operation_name(enum operation_class worst)
{
    return worst == OPERATION_DESTRUCTIVE ? "desired.destructive" : "desired.exposing";
}

/* The request that asks for just these changes, if there is one that can still be signed. */
static bool find_request(const struct sealed *s, const json_t *changes, const char *state, struct consent_request *ret,
                         struct consent_verdict *ret_verdict)
{
    char ids[KEEPER_MAX_REQUESTS][UUID_SIZE];
    size_t n = keeper_open_requests(s->keeper, ids, KEEPER_MAX_REQUESTS);
    for (size_t i = 0; i < n; i++) {
        if (keeper_check(s->keeper, ids[i], state, ret, ret_verdict, NULL) < 0)
            continue;
        bool same = !strcmp(ret->state, state) && json_equal(json_object_get(ret->arguments, "changes"), changes) &&
                    !strncmp(ret->operations[0]->name, "desired.", 8);
        bool expired = ret->not_after_ms <= clock_wall_ms(s->clock);
        if (same && !expired)
            return true;
        request_free(ret);
    }
    return false;
}

static int ask(const struct sealed *s, int64_t version, json_t *changes, enum operation_class worst, const char *state,
               char ret_id[UUID_SIZE], struct err *err)
{
    char created[CLOCK_ISO_SIZE], until[CLOCK_ISO_SIZE];
    int64_t now = clock_wall_ms(s->clock), hours = (int64_t)keeper_policy(s->keeper)->max_hours * 3600000;
    clock_iso(now, created);
    clock_iso(now + MIN(LIFE_MS, hours), until);
    uuid_new(ret_id);
    autofree char *reason = mem_printf("the desired document of version %lld asks for it", (long long)version);
    autojson json_t *o = json_pack("{ss si ss ss s[s] s{sO} ss ss ss ss ss ss}", "type", "ownhouse/request", "v", 1,
                                   "id", ret_id, "infrastructure", s->infrastructure, "operations",
                                   operation_name(worst), "arguments", "changes", changes, "state", state, "reason",
                                   reason, "ticket", "", "by", "the agent", "createdAt", created, "notAfter", until);
    return keeper_add(s->keeper, o, err);
}

int sealed_check(const struct sealed *s, int64_t version, const char *document, size_t len, char ret_used[UUID_SIZE],
                 struct err *err)
{
    autojson json_t *before = NULL, *after = NULL, *changes = NULL;
    autorequest struct consent_request q = {0};
    struct consent_verdict v = {0};
    enum operation_class worst = OPERATION_HARMLESS;
    char state[65], id[UUID_SIZE];
    *ret_used = '\0';
    int r = load_before(s, &before, err);
    if (r == 0)
        r = js_parse(document, len, DOCUMENT_MAX, &after, err);
    if (r == 0)
        r = digest_of_state(before, state, err);
    if (r < 0)
        return r;
    fields_diff(before, after, &changes, &worst);
    const struct policy *p = keeper_policy(s->keeper);
    const struct operation *op = operation_find(operation_name(worst));
    if (worst == OPERATION_HARMLESS ||
        (policy_need(p, op)->customer == 0 && policy_need(p, op)->vendor == 0 && !policy_need(p, op)->denied))
        return 0;
    if (!find_request(s, changes, state, &q, &v)) {
        r = ask(s, version, changes, worst, state, id, err);
        return r < 0 ? r
                     : err_set(err, -EACCES,
                               "the policy is sealed: version %lld has %zu %s changes and waits for the customer's "
                               "signature, request %s",
                               (long long)version, json_array_size(changes), operation_class_names[worst], id);
    }
    if (v.state != CONSENT_ALLOWED)
        return err_set(err, -EACCES, "the policy is sealed: version %lld, request %s: %s", (long long)version, q.id,
                       v.why);
    memcpy(ret_used, q.id, UUID_SIZE);
    return keeper_use(s->keeper, &q, v.by_preapproval, err);
}

static char *waiting_path(const struct sealed *s)
{
    return mem_printf("%s/waiting.json", s->dir);
}

int sealed_wait(const struct sealed *s, int64_t version, const char *document, size_t len, const char *signature_hex,
                struct err *err)
{
    autofree char *path = waiting_path(s), *text = NULL;
    autojson json_t *o =
        json_pack("{sI ss% ss}", "version", (json_int_t)version, "document", document, len, "signature", signature_hex);
    if (!o)
        return err_set(err, -EINVAL, "the desired document is not UTF-8 text");
    text = js_text(o);
    return fs_write_atomic(path, text, strlen(text), 0600, err);
}

int sealed_waiting(const struct sealed *s, int64_t *ret_version, char **ret_document, char ret_signature[129],
                   struct err *err)
{
    autofree char *path = waiting_path(s);
    autojson json_t *o = NULL;
    const char *document = NULL, *signature = NULL;
    int r = read_json(path, &o, err);
    if (r < 0 || !o)
        return r;
    r = js_int(o, "", "version", 1, INT64_MAX, ret_version, err);
    if (r == 0)
        r = js_string(o, "", "document", DOCUMENT_MAX, &document, err);
    if (r == 0)
        r = js_string(o, "", "signature", 128, &signature, err);
    if (r < 0)
        return err_wrap(err, r, "%s", path);
    *ret_document = mem_strdup(document);
    snprintf(ret_signature, 129, "%s", signature);
    return 1;
}

void sealed_forget(const struct sealed *s)
{
    autofree char *path = waiting_path(s);
    unlink(path);
}
