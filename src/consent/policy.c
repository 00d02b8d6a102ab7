/* Reads the customer's policy strictly and answers what it asks for. */
#include "consent/policy.h"

#include "base/mem.h"

#define TYPE "ownhouse/policy"
#define DAY_MINUTES 1440
#define DEFAULT_HOURS 24

const char *const policy_mode_names[] = {"open", "sealed"};

/* ---- keys ---- */

static bool name_valid(const char *s)
{
    size_t len = strlen(s);
    if (len == 0 || len > POLICY_NAME_MAX)
        return false;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)s[i] < ' ' || s[i] == 0x7f)
            return false;
    return true;
}

int policy_key_find(const struct policy_key *keys, size_t n, const unsigned char key[ED25519_PUBLIC_SIZE])
{
    for (size_t i = 0; i < n; i++)
        if (bytes_equal(keys[i].key, key, ED25519_PUBLIC_SIZE))
            return (int)i;
    return -1;
}

static int take_key(const json_t *o, const char *place, struct policy_key *ret, struct err *err)
{
    static const char *const known[] = {"name", "key", NULL};
    const char *name = NULL, *key = NULL;
    int r = json_is_object(o) ? js_only(o, place, known, err) : err_set(err, -EINVAL, "%s: must be an object", place);
    if (r == 0)
        r = js_string(o, place, "name", POLICY_NAME_MAX, &name, err);
    if (r == 0 && !name_valid(name))
        r = err_set(err, -EINVAL, "%s.name: must be 1 to %d printable characters", place, POLICY_NAME_MAX);
    if (r == 0)
        r = js_string(o, place, "key", 64, &key, err);
    if (r == 0 && (strlen(key) != 64 || hex_decode(key, ret->key, ED25519_PUBLIC_SIZE) < 0))
        r = err_set(err, -EINVAL, "%s.key: must be 64 hexadecimal digits", place);
    if (r == 0)
        snprintf(ret->name, sizeof(ret->name), "%s", name);
    return r;
}

static int take_keys(const json_t *o, const char *field, struct policy_key *keys, size_t *ret_n, struct err *err)
{
    json_t *list = json_object_get(o, field);
    if (!list)
        return 0;
    int r = js_array(o, "", field, POLICY_MAX_KEYS, &list, err);
    for (size_t i = 0; r == 0 && i < json_array_size(list); i++) {
        char place[40];
        snprintf(place, sizeof(place), "%s[%zu]", field, i);
        r = take_key(json_array_get(list, i), place, &keys[i], err);
        if (r == 0 && policy_key_find(keys, i, keys[i].key) >= 0)
            r = err_set(err, -EINVAL, "%s.key: is there twice, so one person could sign twice", place);
        if (r == 0)
            *ret_n = i + 1;
    }
    return r;
}

/* ---- operations and times ---- */

static int take_need(const json_t *o, const char *place, struct policy_need *n, struct err *err)
{
    static const char *const known[] = {"customer", "vendor", "denied", NULL};
    int64_t customer = n->customer, vendor = n->vendor;
    int r = json_is_object(o) ? js_only(o, place, known, err) : err_set(err, -EINVAL, "%s: must be an object", place);
    if (r == 0)
        r = js_int_opt(o, place, "customer", 0, POLICY_MAX_KEYS, &customer, err);
    if (r == 0)
        r = js_int_opt(o, place, "vendor", 0, POLICY_MAX_KEYS, &vendor, err);
    if (r == 0)
        r = js_bool_opt(o, place, "denied", &n->denied, err);
    n->customer = (int)customer;
    n->vendor = (int)vendor;
    return r;
}

static int unknown_operation(const char *place, const char *name, struct err *err)
{
    return err_set(err, -EINVAL, "%s: there is no operation \"%.60s\" (api/consent.md lists them)", place, name);
}

static int take_operations(const json_t *o, struct policy *p, struct err *err)
{
    json_t *map = json_object_get(o, "operations"), *value;
    const char *name;
    for (size_t i = 0; operations[i].name; i++)
        p->needs[i].customer = p->mode == POLICY_SEALED ? operations[i].sealed_customer : operations[i].open_customer;
    int r = map ? js_object(o, "", "operations", &map, err) : 0;
    if (r < 0)
        return r;
    json_object_foreach(map, name, value)
    {
        const struct operation *op = operation_find(name);
        char place[100];
        snprintf(place, sizeof(place), "operations.%.60s", name);
        r = op ? take_need(value, place, &p->needs[op - operations], err) : unknown_operation("operations", name, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int take_minutes(const json_t *o, const char *place, const char *key, int *ret, struct err *err)
{
    const char *text = NULL;
    int r = js_string(o, place, key, 5, &text, err);
    if (r < 0)
        return r;
    unsigned h = 99, m = 99;
    if (strlen(text) != 5 || strspn(text, "0123456789:") != 5 || sscanf(text, "%2u:%2u", &h, &m) != 2 || m > 59 ||
        h * 60 + m > DAY_MINUTES)
        return err_set(err, -EINVAL, "%s.%s: must be a time of day as in 02:30 (UTC)", place, key);
    *ret = (int)(h * 60 + m);
    return 0;
}

static int take_days(const json_t *o, const char *place, unsigned *ret, struct err *err)
{
    static const char *const names[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};
    json_t *list = NULL;
    int r = js_array(o, place, "days", 7, &list, err);
    for (size_t i = 0; r == 0 && i < json_array_size(list); i++) {
        const char *text = json_string_value(json_array_get(list, i));
        size_t d = 0;
        while (d < 7 && (!text || strcmp(text, names[d])))
            d++;
        if (d == 7)
            return err_set(err, -EINVAL, "%s.days[%zu]: must be sun, mon, tue, wed, thu, fri or sat", place, i);
        *ret |= 1u << d;
    }
    return r;
}

static int take_names(const json_t *o, const char *place, uint64_t *ret, struct err *err)
{
    json_t *list = NULL;
    int r = js_array(o, place, "operations", 64, &list, err);
    for (size_t i = 0; r == 0 && i < json_array_size(list); i++) {
        const char *text = json_string_value(json_array_get(list, i));
        const struct operation *op = text ? operation_find(text) : NULL;
        if (!op)
            return unknown_operation(place, text ? text : "", err);
        *ret |= 1ULL << (op - operations);
    }
    return r;
}

static int take_times(const json_t *o, const char *field, struct policy_time *times, size_t *ret_n, struct err *err)
{
    static const char *const known[] = {"days", "from", "to", "operations", NULL};
    json_t *list = json_object_get(o, field);
    if (!list)
        return 0;
    int r = js_array(o, "", field, POLICY_MAX_TIMES, &list, err);
    for (size_t i = 0; r == 0 && i < json_array_size(list); i++) {
        const json_t *t = json_array_get(list, i);
        char place[40];
        snprintf(place, sizeof(place), "%s[%zu]", field, i);
        r = json_is_object(t) ? js_only(t, place, known, err) : err_set(err, -EINVAL, "%s: must be an object", place);
        if (r == 0)
            r = take_days(t, place, &times[i].days, err);
        if (r == 0)
            r = take_minutes(t, place, "from", &times[i].from, err);
        if (r == 0)
            r = take_minutes(t, place, "to", &times[i].to, err);
        if (r == 0)
            r = take_names(t, place, &times[i].operations, err);
        if (r == 0)
            *ret_n = i + 1;
    }
    return r;
}

/* ---- the whole ---- */

static int check_counts(const struct policy *p, struct err *err)
{
    if (p->mode == POLICY_SEALED && p->n_approvers == 0)
        return err_set(err, -EINVAL, "approvers: the mode sealed needs one at least");
    if (p->n_approvers > 0 && (p->quorum < 1 || p->quorum > (int)p->n_approvers))
        return err_set(err, -EINVAL, "quorum: must be between 1 and the number of approvers");
    for (size_t i = 0; operations[i].name; i++) {
        const struct policy_need *n = &p->needs[i];
        bool impossible = n->vendor > (int)p->n_vendors || (n->customer > (int)p->n_approvers && p->n_approvers > 0);
        if (!n->denied && impossible)
            return err_set(err, -EINVAL, "operations.%s: asks for more signatures than there are keys",
                           operations[i].name);
    }
    for (size_t i = 0; i < p->n_vendors; i++)
        if (policy_key_find(p->approvers, p->n_approvers, p->vendors[i].key) >= 0)
            return err_set(err, -EINVAL, "vendors[%zu].key: is an approver's too, so one person could sign for both",
                           i);
    return 0;
}

static int take_mode(const json_t *o, struct policy *p, struct err *err)
{
    const char *mode = NULL;
    int r = js_string(o, "", "mode", 16, &mode, err);
    if (r < 0)
        return r;
    if (!strcmp(mode, "sealed"))
        p->mode = POLICY_SEALED;
    else if (strcmp(mode, "open"))
        return err_set(err, -EINVAL, "mode: must be \"open\" or \"sealed\"");
    return 0;
}

static int take(const json_t *o, struct policy *p, struct err *err)
{
    static const char *const known[] = {"type",   "v",          "version", "mode",  "approvers", "vendors",
                                        "quorum", "operations", "windows", "quiet", "maxHours",  NULL};
    const char *type = NULL;
    int64_t v = 0, quorum = 1, hours = DEFAULT_HOURS;
    int r = js_only(o, "", known, err);
    if (r == 0)
        r = js_string(o, "", "type", 40, &type, err);
    if (r == 0 && strcmp(type, TYPE))
        r = err_set(err, -EINVAL, "type: must be \"" TYPE "\"");
    if (r == 0)
        r = js_int(o, "", "v", 1, 1, &v, err);
    if (r == 0)
        r = js_int(o, "", "version", 1, INT32_MAX, &p->version, err);
    if (r == 0)
        r = take_mode(o, p, err);
    if (r == 0)
        r = take_keys(o, "approvers", p->approvers, &p->n_approvers, err);
    if (r == 0)
        r = take_keys(o, "vendors", p->vendors, &p->n_vendors, err);
    if (r == 0)
        r = js_int_opt(o, "", "quorum", 1, POLICY_MAX_KEYS, &quorum, err);
    if (r == 0)
        r = js_int_opt(o, "", "maxHours", 1, POLICY_MAX_HOURS, &hours, err);
    p->quorum = (int)quorum;
    p->max_hours = (int)hours;
    if (r == 0)
        r = take_operations(o, p, err);
    if (r == 0)
        r = take_times(o, "windows", p->windows, &p->n_windows, err);
    if (r == 0)
        r = take_times(o, "quiet", p->quiet, &p->n_quiet, err);
    return r < 0 ? r : check_counts(p, err);
}

int policy_from_json(const json_t *o, struct policy **ret, struct err *err)
{
    autopolicy struct policy *p = mem_alloc(sizeof(*p));
    autobuf struct buf text = BUF_INIT;
    int r = json_is_object(o) ? take(o, p, err) : err_set(err, -EINVAL, "must be a JSON object");
    if (r == 0)
        r = js_canonical(o, &text, err);
    if (r == 0 && text.len > POLICY_MAX_BYTES)
        r = err_set(err, -EMSGSIZE, "is longer than %zu bytes", (size_t)POLICY_MAX_BYTES);
    if (r < 0)
        return err_wrap(err, r, "the policy");
    sha256_hex(text.data, text.len, p->digest);
    p->canonical = buf_take(&text);
    *ret = TAKE_PTR(p);
    return 0;
}

int policy_parse(const char *text, size_t len, struct policy **ret, struct err *err)
{
    autojson json_t *o = NULL;
    int r = js_parse(text, len, POLICY_MAX_BYTES, &o, err);
    return r < 0 ? err_wrap(err, r, "the policy") : policy_from_json(o, ret, err);
}

int policy_from_bundle(const json_t *short_form, const unsigned char (*keys)[ED25519_PUBLIC_SIZE], size_t n_keys,
                       struct policy **ret, struct err *err)
{
    autojson json_t *o = json_deep_copy(short_form), *approvers = json_array();
    if (!json_is_object(o))
        return err_set(err, -EINVAL, "the policy must be a JSON object");
    if (json_object_get(o, "version") || json_object_get(o, "approvers") || json_object_get(o, "type"))
        return err_set(err, -EINVAL, "the policy: a bundle's must not have type, version or approvers of its own");
    for (size_t i = 0; i < n_keys; i++) {
        char hex[65], name[32];
        hex_encode(keys[i], ED25519_PUBLIC_SIZE, hex);
        snprintf(name, sizeof(name), "approver %zu", i + 1);
        json_array_append_new(approvers, json_pack("{ss ss}", "name", name, "key", hex));
    }
    json_object_set_new(o, "type", json_string(TYPE));
    json_object_set_new(o, "version", json_integer(1));
    json_object_set(o, "approvers", approvers);
    return policy_from_json(o, ret, err);
}

void policy_free(struct policy *p)
{
    if (!p)
        return;
    free(p->canonical);
    free(p);
}

const struct policy_need *policy_need(const struct policy *p, const struct operation *op)
{
    return &p->needs[op - operations];
}

static bool in_time(const struct policy_time *t, int day, int minute)
{
    if (t->from < t->to)
        return (t->days >> day & 1) && minute >= t->from && minute < t->to;
    int yesterday = (day + 6) % 7;
    return ((t->days >> day & 1) && minute >= t->from) || ((t->days >> yesterday & 1) && minute < t->to);
}

bool policy_may_now(const struct policy *p, const struct operation *op, int64_t wall_ms, char ret_why[200])
{
    int64_t minutes = wall_ms / 60000;
    int day = (int)((minutes / DAY_MINUTES + 4) % 7),
        minute = (int)(minutes % DAY_MINUTES); /* 1970 began on a Thursday */
    uint64_t bit = 1ULL << (op - operations);
    bool windows = false, inside = false;
    for (size_t i = 0; i < p->n_quiet; i++)
        if ((p->quiet[i].operations & bit) && in_time(&p->quiet[i], day, minute)) {
            snprintf(ret_why, 200, "%s waits: quiet hours until %02d:%02d UTC", op->name, p->quiet[i].to / 60,
                     p->quiet[i].to % 60);
            return false;
        }
    for (size_t i = 0; i < p->n_windows; i++) {
        if (!(p->windows[i].operations & bit))
            continue;
        windows = true;
        inside |= in_time(&p->windows[i], day, minute);
    }
    if (windows && !inside)
        snprintf(ret_why, 200, "%s waits for one of the policy's maintenance windows", op->name);
    return !windows || inside;
}
