/* Reads the desired document strictly: every field checked, unknown ones refused, names unique. */
#include "blueprint/desired.h"

#include "base/clock.h"
#include "base/mem.h"
#include "blueprint/names.h"
#include "blueprint/schedule.h"

#define MAX_USERS 100
#define PLACE_SIZE 96

struct parsed {
    struct desired d;
    struct arena *arena;
};

/* What the services of a document may not share. */
struct unique {
    const char *what;
    const char *value;
    size_t service;
};

static int bad(struct err *err, const char *place, const char *key, const char *rule)
{
    return err_set(err, -EINVAL, "%s%s%s: %s", place, *place ? "." : "", key, rule);
}

static bool lower_hex(const char *s, size_t len)
{
    return strlen(s) == len && strspn(s, "0123456789abcdef") == len;
}

static int get_text(const json_t *o, const char *place, const char *key, size_t max, struct arena *a, const char **ret,
                    struct err *err)
{
    const char *s = NULL;
    int r = js_string(o, place, key, max, &s, err);
    if (r == 0)
        *ret = arena_strdup(a, s);
    return r;
}

static int get_uuid(const json_t *o, const char *place, const char *key, struct arena *a, const char **ret,
                    struct err *err)
{
    int r = get_text(o, place, key, 36, a, ret, err);
    if (r < 0)
        return r;
    if (!uuid_valid(*ret) || strpbrk(*ret, "ABCDEF"))
        return bad(err, place, key, "must be a lower-case UUID");
    return 0;
}

static int get_bool(const json_t *o, const char *place, const char *key, bool *ret, struct err *err)
{
    if (!json_object_get(o, key))
        return bad(err, place, key, "is required");
    return js_bool_opt(o, place, key, ret, err);
}

static int parse_user(const json_t *o, const char *place, struct arena *a, struct desired_user *ret, struct err *err)
{
    static const char *const known[] = {"name", "sha256", "doubleSha1", NULL};
    int r = json_is_object(o) ? js_only(o, place, known, err) : err_set(err, -EINVAL, "%s: must be an object", place);
    if (r < 0 || (r = get_text(o, place, "name", NAMES_USER_MAX, a, &ret->name, err)) < 0 ||
        (r = get_text(o, place, "sha256", 64, a, &ret->sha256, err)) < 0)
        return r;
    if (!names_user_valid(ret->name))
        return bad(err, place, "name",
                   "must be letters, digits, '_' or '-', begin with a letter or '_', and "
                   "not begin with 'ownhouse_', which is kept for the platform");
    if (!lower_hex(ret->sha256, 64))
        return bad(err, place, "sha256", "must be 64 lower-case hex digits");
    if (!json_object_get(o, "doubleSha1"))
        return 0;
    if ((r = get_text(o, place, "doubleSha1", 40, a, &ret->double_sha1, err)) < 0)
        return r;
    return lower_hex(ret->double_sha1, 40) ? 0 : bad(err, place, "doubleSha1", "must be 40 lower-case hex digits");
}

static int parse_users(const json_t *o, const char *place, struct arena *a, struct desired_service *s, struct err *err)
{
    json_t *list = NULL;
    int r = js_array(o, place, "users", MAX_USERS, &list, err);
    if (r < 0)
        return r;
    if (json_array_size(list) == 0)
        return bad(err, place, "users", "must name one user at least");
    s->users = arena_alloc(a, (json_array_size(list) + 1) * sizeof(*s->users));
    for (size_t i = 0; i < json_array_size(list); i++) {
        char at[PLACE_SIZE];
        snprintf(at, sizeof(at), "%s.users[%zu]", place, i);
        if ((r = parse_user(json_array_get(list, i), at, a, &s->users[i], err)) < 0)
            return r;
        for (size_t k = 0; k < i; k++)
            if (!strcmp(s->users[k].name, s->users[i].name))
                return bad(err, at, "name", "is the name of another user of the service");
        s->n_users = i + 1;
    }
    return 0;
}

static int parse_ip_list(const json_t *o, const char *place, struct arena *a, struct desired_service *s,
                         struct err *err)
{
    json_t *list = NULL;
    int r = js_array(o, place, "ipAccessList", DESIRED_MAX_NETWORKS, &list, err);
    if (r < 0)
        return r;
    s->ip_access_list = arena_alloc(a, (json_array_size(list) + 1) * sizeof(*s->ip_access_list));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *text = json_string_value(json_array_get(list, i));
        if (!text || !names_network_valid(text))
            return err_set(err, -EINVAL,
                           "%s.ipAccessList[%zu]: must be an IPv4 or IPv6 address or network in CIDR form", place, i);
        s->ip_access_list[i] = arena_strdup(a, text);
        s->n_ip_access_list = i + 1;
    }
    return 0;
}

static int check_settings(const json_t *all, const char *place, struct err *err)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)all, name, value)
    {
        const struct setting *s = setting_find(name);
        struct err why = ERR_INIT;
        if (!s)
            return err_set(err, -EINVAL, "%s.settings.%.64s: is not a setting that this program knows", place, name);
        if (!json_is_string(value) || setting_check(s, json_string_value(value), &why) < 0)
            return err_set(err, -EINVAL, "%s.settings.%s: %s", place, name,
                           why.code ? why.message : "must be a string");
    }
    return 0;
}

/* Optional: a document without settings is as before there were any. */
int desired_settings_parse(const json_t *o, const char *place, struct arena *a, struct desired_setting **ret,
                           size_t *ret_n, struct err *err)
{
    json_t *all = json_object_get(o, "settings");
    if (!all)
        return 0;
    int r = js_object(o, place, "settings", &all, err);
    if (r == 0)
        r = check_settings(all, place, err);
    if (r < 0)
        return r;
    *ret = arena_alloc(a, (settings_count + 1) * sizeof(**ret));
    for (size_t i = 0; i < settings_count; i++) {
        const char *value = json_string_value(json_object_get(all, settings_all[i].name));
        if (value)
            (*ret)[(*ret_n)++] = (struct desired_setting){&settings_all[i], arena_strdup(a, value)};
    }
    return 0;
}

/* "04:30" as minutes of the day; negative: no time of day. */
static int time_of_day(const char *text)
{
    if (strlen(text) != 5 || text[2] != ':' || strspn(text, "0123456789") != 2 || strspn(text + 3, "0123456789") != 2)
        return -EINVAL;
    int hour = (text[0] - '0') * 10 + text[1] - '0', minute = (text[3] - '0') * 10 + text[4] - '0';
    return hour < 24 && minute < 60 ? 60 * hour + minute : -EINVAL;
}

static int parse_backup(const json_t *o, const char *place, struct desired_backup *b, struct err *err)
{
    static const char *const known[] = {"periodHours", "retentionHours", "startTime", NULL};
    json_t *v = NULL;
    const char *start = NULL;
    int64_t period = DESIRED_BACKUP_PERIOD_HOURS, retention = DESIRED_BACKUP_RETENTION_HOURS;
    char at[PLACE_SIZE];
    *b = (struct desired_backup){.start_minute = -1};
    snprintf(at, sizeof(at), "%s.backup", place);
    int r = json_object_get(o, "backup") ? js_object(o, place, "backup", &v, err) : 0;
    if (r == 0 && v)
        r = js_only(v, at, known, err);
    if (r == 0 && v)
        r = js_int_opt(v, at, "periodHours", 1, DESIRED_BACKUP_HOURS_MAX, &period, err);
    if (r == 0 && v)
        r = js_int_opt(v, at, "retentionHours", 1, DESIRED_BACKUP_HOURS_MAX, &retention, err);
    if (r == 0 && v)
        r = js_string_opt(v, at, "startTime", 5, &start, err);
    if (r == 0 && start && (b->start_minute = time_of_day(start)) < 0)
        r = bad(err, at, "startTime", "must be a time of day such as 04:30");
    b->period_hours = (int)period;
    b->retention_hours = (int)retention;
    return r;
}

static int parse_restore(const json_t *o, const char *place, struct arena *a, struct desired_service *s,
                         struct err *err)
{
    static const char *const known[] = {"backup", "service", NULL};
    json_t *v = NULL;
    char at[PLACE_SIZE];
    int r = json_object_get(o, "backupAsked") ? get_uuid(o, place, "backupAsked", a, &s->backup_asked, err) : 0;
    if (r < 0 || !json_object_get(o, "restore"))
        return r;
    snprintf(at, sizeof(at), "%s.restore", place);
    r = js_object(o, place, "restore", &v, err);
    if (r == 0)
        r = js_only(v, at, known, err);
    if (r == 0)
        r = get_uuid(v, at, "backup", a, &s->restore_backup, err);
    return r < 0 ? r : get_uuid(v, at, "service", a, &s->restore_service, err);
}

static int parse_state(const json_t *o, const char *place, struct desired_service *s, struct err *err)
{
    static const char *const states[] = {"running", "stopped", "deleted"};
    const char *text = NULL;
    int r = js_string(o, place, "state", 16, &text, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < ARRAY_SIZE(states); i++)
        if (!strcmp(text, states[i])) {
            s->state = (enum desired_state)i;
            return 0;
        }
    return bad(err, place, "state", "must be running, stopped or deleted");
}

/* Optional. */
static int parse_window(const json_t *o, const char *place, struct arena *a, struct desired_service *s, struct err *err)
{
    static const char *const known[] = {"weekday", "startHourUtc", "duration", NULL};
    json_t *w = json_object_get(o, "upgradeWindow");
    int64_t weekday = 0, start = 0, hours = 0;
    char at[PLACE_SIZE];
    if (!w)
        return 0;
    snprintf(at, sizeof(at), "%s.upgradeWindow", place);
    int r = js_object(o, place, "upgradeWindow", &w, err);
    if (r < 0 || (r = js_only(w, at, known, err)) < 0 || (r = js_int(w, at, "weekday", 0, 6, &weekday, err)) < 0 ||
        (r = js_int(w, at, "startHourUtc", 0, 23, &start, err)) < 0 ||
        (r = js_int(w, at, "duration", 1, 168, &hours, err)) < 0)
        return r;
    s->window = arena_alloc(a, sizeof(*s->window));
    *s->window = (struct desired_window){(int)weekday, (int)start, (int)hours};
    return 0;
}

/* Optional. */
static int parse_idle(const json_t *o, const char *place, struct desired_service *s, struct err *err)
{
    static const char *const known[] = {"minutes", "awakeAsked", NULL};
    json_t *v = NULL;
    int64_t minutes = 0;
    char at[PLACE_SIZE];
    if (!json_object_get(o, "idle"))
        return 0;
    snprintf(at, sizeof(at), "%s.idle", place);
    int r = js_object(o, place, "idle", &v, err);
    if (r == 0)
        r = js_only(v, at, known, err);
    if (r == 0)
        r = js_int(v, at, "minutes", 0, DESIRED_IDLE_MINUTES_MAX, &minutes, err);
    if (r == 0)
        r = js_int_opt(v, at, "awakeAsked", 0, INT64_C(1) << 53, &s->awake_asked_ms, err);
    s->idle_minutes = (int)minutes;
    return r;
}

static bool printable(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            return false;
    return true;
}

static int parse_service(const json_t *o, const char *place, struct arena *a, struct desired_service *s,
                         struct err *err)
{
    static const char *const known[] = {"id",         "name",          "slug",          "ordinal", "state",
                                        "deleteData", "replicas",      "memoryGb",      "users",   "ipAccessList",
                                        "settings",   "queryEndpoint", "upgradeWindow", "backup",  "backupAsked",
                                        "restore",    "idle",          "schedule",      NULL};
    int64_t ordinal = 0, replicas = 0, memory_gb = 0;
    int r = json_is_object(o) ? js_only(o, place, known, err) : err_set(err, -EINVAL, "%s: must be an object", place);
    if (r < 0 || (r = get_uuid(o, place, "id", a, &s->id, err)) < 0 ||
        (r = get_text(o, place, "name", 256, a, &s->name, err)) < 0 ||
        (r = get_text(o, place, "slug", NAMES_LABEL_MAX, a, &s->slug, err)) < 0 ||
        (r = js_int(o, place, "ordinal", 1, DESIRED_MAX_SERVICES, &ordinal, err)) < 0 ||
        (r = parse_state(o, place, s, err)) < 0 || (r = get_bool(o, place, "deleteData", &s->delete_data, err)) < 0 ||
        (r = js_int(o, place, "replicas", 1, DESIRED_MAX_REPLICAS, &replicas, err)) < 0 ||
        (r = js_int(o, place, "memoryGb", 1, DESIRED_MAX_MEMORY_GB, &memory_gb, err)) < 0 ||
        (r = parse_users(o, place, a, s, err)) < 0 || (r = parse_ip_list(o, place, a, s, err)) < 0 ||
        (r = desired_settings_parse(o, place, a, &s->settings, &s->n_settings, err)) < 0 ||
        (r = parse_window(o, place, a, s, err)) < 0 || (r = parse_backup(o, place, &s->backup, err)) < 0 ||
        (r = parse_restore(o, place, a, s, err)) < 0 || (r = parse_idle(o, place, s, err)) < 0)
        return r;
    if (json_object_get(o, "queryEndpoint") &&
        (r = desired_query_parse(json_object_get(o, "queryEndpoint"), place, a, &s->query_endpoint, err)) < 0)
        return r;
    if (!*s->name || !printable(s->name))
        return bad(err, place, "name", "must be 1 to 256 bytes without control characters");
    if (!names_label_valid(s->slug))
        return bad(err, place, "slug", "must be a DNS label: a-z, 0-9 and '-', not at the ends, at most 63");
    if (s->delete_data && s->state != DESIRED_DELETED)
        return bad(err, place, "deleteData", "may be true only for a service whose state is deleted");
    s->ordinal = (int)ordinal;
    s->replicas = (int)replicas;
    s->memory_bytes = memory_gb << 30;
    return schedule_parse(o, place, a, s, err);
}

static int compare_unique(const void *a, const void *b)
{
    const struct unique *x = a, *y = b;
    int c = strcmp(x->value, y->value);
    return c ? c : (x->service > y->service) - (x->service < y->service);
}

static int check_unique(struct unique *list, size_t n, struct err *err)
{
    qsort(list, n, sizeof(*list), compare_unique);
    for (size_t i = 1; i < n; i++)
        if (!strcmp(list[i - 1].value, list[i].value))
            return err_set(err, -EINVAL, "services[%zu].%s: is already that of services[%zu]", list[i].service,
                           list[i].what, list[i - 1].service);
    return 0;
}

static int check_services_unique(const struct desired *d, struct err *err)
{
    autofree struct unique *ids = mem_alloc((d->n_services + 1) * sizeof(*ids));
    autofree struct unique *slugs = mem_alloc((d->n_services + 1) * sizeof(*slugs));
    size_t seen[DESIRED_MAX_SERVICES + 1] = {0}; /* index + 1 by ordinal */
    for (size_t i = 0; i < d->n_services; i++) {
        const struct desired_service *s = &d->services[i];
        ids[i] = (struct unique){"id", s->id, i};
        slugs[i] = (struct unique){"slug", s->slug, i};
        if (seen[s->ordinal])
            return err_set(err, -EINVAL, "services[%zu].ordinal: is already that of services[%zu]", i,
                           seen[s->ordinal] - 1);
        seen[s->ordinal] = i + 1;
    }
    int r = check_unique(ids, d->n_services, err);
    return r < 0 ? r : check_unique(slugs, d->n_services, err);
}

static int parse_services(const json_t *root, struct parsed *p, struct err *err)
{
    json_t *list = NULL;
    int r = js_array(root, "", "services", DESIRED_MAX_SERVICES, &list, err);
    if (r < 0)
        return r;
    p->d.services = arena_alloc(p->arena, (json_array_size(list) + 1) * sizeof(*p->d.services));
    for (size_t i = 0; i < json_array_size(list); i++) {
        char place[PLACE_SIZE];
        snprintf(place, sizeof(place), "services[%zu]", i);
        if ((r = parse_service(json_array_get(list, i), place, p->arena, &p->d.services[i], err)) < 0)
            return r;
        p->d.n_services = i + 1;
    }
    return check_services_unique(&p->d, err);
}

static int parse_root(const json_t *root, struct parsed *p, struct err *err)
{
    static const char *const known[] = {"type",     "v",      "infrastructure", "version",
                                        "issuedAt", "domain", "services",       NULL};
    const char *type = NULL;
    int64_t v = 0, issued = 0;
    if (!json_is_object(root))
        return err_set(err, -EINVAL, "the desired document must be an object");
    int r = js_string(root, "", "type", 64, &type, err);
    if (r < 0)
        return r;
    if (strcmp(type, "ownhouse/desired"))
        return bad(err, "", "type", "must be ownhouse/desired");
    if ((r = js_int(root, "", "v", INT64_MIN, INT64_MAX, &v, err)) < 0)
        return r;
    if (v != 1)
        return bad(err, "", "v", "must be 1: this agent is older than the document's form, upgrade it");
    if ((r = js_only(root, "", known, err)) < 0 ||
        (r = get_uuid(root, "", "infrastructure", p->arena, &p->d.infrastructure, err)) < 0 ||
        (r = js_int(root, "", "version", 1, (INT64_C(1) << 53) - 1, &p->d.version, err)) < 0 ||
        (r = get_text(root, "", "issuedAt", CLOCK_ISO_SIZE, p->arena, &p->d.issued_at, err)) < 0 ||
        (r = get_text(root, "", "domain", NAMES_DOMAIN_MAX, p->arena, &p->d.domain, err)) < 0)
        return r;
    if (clock_iso_parse(p->d.issued_at, &issued) < 0)
        return bad(err, "", "issuedAt", "must be a time like 2026-11-22T12:00:00.000Z");
    if (!names_domain_valid(p->d.domain))
        return bad(err, "", "domain", "must be a DNS name in lower case, at most 189 bytes, without a final dot");
    return parse_services(root, p, err);
}

int desired_parse(const char *text, size_t len, struct desired **ret, struct err *err)
{
    autojson json_t *root = NULL;
    int r = js_parse(text, len, DESIRED_MAX_BYTES, &root, err);
    if (r < 0)
        return r;
    struct parsed *p = mem_alloc(sizeof(*p));
    p->arena = arena_new();
    if ((r = parse_root(root, p, err)) < 0) {
        desired_free(&p->d);
        return r;
    }
    *ret = &p->d;
    return 0;
}

void desired_free(struct desired *d)
{
    if (!d)
        return;
    struct parsed *p = CONTAINER_OF(d, struct parsed, d);
    arena_free(p->arena);
    free(p);
}

void desired_statement_of_digest(const char *infrastructure, int64_t version, const char *digest, struct buf *out)
{
    buf_printf(out, "ownhouse-desired-v1\n%s\n%lld\n%s\n", infrastructure, (long long)version, digest);
}

void desired_statement(const char *infrastructure, int64_t version, const char *document, size_t len, struct buf *out)
{
    char digest[2 * SHA256_SIZE + 1];
    sha256_hex(document, len, digest);
    desired_statement_of_digest(infrastructure, version, digest, out);
}

bool desired_signature_valid(const unsigned char key[ED25519_PUBLIC_SIZE], const char *infrastructure, int64_t version,
                             const char *document, size_t len, const char *signature_hex)
{
    unsigned char signature[ED25519_SIGNATURE_SIZE];
    autobuf struct buf statement = BUF_INIT;
    if (strlen(signature_hex) != 2 * sizeof(signature) || hex_decode(signature_hex, signature, sizeof(signature)) < 0)
        return false;
    desired_statement(infrastructure, version, document, len, &statement);
    return signature_valid(key, statement.data, statement.len, signature);
}
