/* Compares wanted records with those that stand. */
#include "agent/names/records.h"

#include <arpa/inet.h>
#include <ctype.h>

#define CHALLENGE_TTL 30
#define MARK_TTL 300

void wanted_free(struct wanted *w)
{
    arena_free(w->arena);
    *w = (struct wanted){0};
}

static bool is_address(const char *text, bool *ret_six)
{
    unsigned char bytes[16];
    *ret_six = inet_pton(AF_INET6, text, bytes) == 1;
    return *ret_six || inet_pton(AF_INET, text, bytes) == 1;
}

static int take_list(const json_t *o, const char *key, size_t max, struct arena *a, const char ***ret, size_t *ret_n,
                     struct err *err)
{
    json_t *list = NULL;
    bool six;
    int r = js_array(o, "", key, max, &list, err);
    size_t n = json_array_size(list);
    const char **out = arena_alloc(a, (n + 1) * sizeof(*out));
    for (size_t i = 0; r == 0 && i < n; i++) {
        const char *text = json_string_value(json_array_get(list, i));
        if (!text || (!is_address(text, &six) && !dns_name_valid(text)))
            return err_set(err, -EINVAL, "%s[%zu]: must be a name%s", key, i, *key == 't' ? " or an address" : "");
        out[i] = arena_strdup(a, text);
    }
    if (r == 0) {
        *ret = out;
        *ret_n = n;
    }
    return r;
}

int wanted_parse(const char *text, size_t len, struct wanted *ret, struct err *err)
{
    static const char *const known[] = {"v", "infrastructure", "domain", "names", "targets", NULL};
    autowanted struct wanted w = {.arena = arena_new()};
    autojson json_t *o = NULL;
    const char *infrastructure = NULL, *domain = NULL;
    int64_t v;
    int r = js_parse(text, len, WANTED_MAX_BYTES, &o, err);
    if (r < 0 || (r = js_only(o, "", known, err)) < 0 || (r = js_int(o, "", "v", 1, 1, &v, err)) < 0 ||
        (r = js_string(o, "", "infrastructure", 36, &infrastructure, err)) < 0 ||
        (r = js_string(o, "", "domain", 253, &domain, err)) < 0 ||
        (r = take_list(o, "names", 10000, w.arena, &w.names, &w.n_names, err)) < 0 ||
        (r = take_list(o, "targets", 16, w.arena, &w.targets, &w.n_targets, err)) < 0)
        return r;
    if (!uuid_valid(infrastructure) || !dns_name_valid(domain))
        return err_set(err, -EINVAL, "infrastructure or domain is none");
    w.infrastructure = arena_strdup(w.arena, infrastructure);
    w.domain = arena_strdup(w.arena, domain);
    *ret = w;
    w = (struct wanted){0};
    return 0;
}

static int add_for(struct zone_sets *out, const struct wanted *w, const char *name, const char *zone, int64_t ttl,
                   struct err *err)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < w->n_targets; i++) {
        bool six;
        if (is_address(w->targets[i], &six))
            r = zone_sets_add(out, name, six ? "AAAA" : "A", ttl, w->targets[i], err);
        else if (i == 0 && strcmp(name, zone))
            r = zone_sets_add(out, name, "CNAME", ttl, w->targets[i], err);
    }
    return r;
}

int records_wanted(const struct wanted *w, const char *zone, int64_t ttl, struct zone_sets *ret, struct err *err)
{
    int r = add_for(ret, w, w->domain, zone, ttl, err);
    for (size_t i = 0; r == 0 && i < w->n_names; i++)
        if (dns_name_within(w->names[i], w->domain))
            r = add_for(ret, w, w->names[i], zone, ttl, err);
    zone_sets_group(ret);
    return r;
}

/* ---- marks ---- */

#define MARK "_ownhouse-"

static const struct zone_set *make_mark(struct arena *a, const struct zone_set *set, const char *owner)
{
    struct zone_set *mark = arena_alloc(a, sizeof(*mark));
    char *name = arena_printf(a, MARK "%s.%s", set->type, set->name);
    for (char *p = name; *p && *p != '.'; p++)
        *p = (char)tolower((unsigned char)*p);
    mark->values = arena_alloc(a, sizeof(*mark->values));
    mark->values[0] = arena_printf(a, "heritage=ownhouse,ownhouse/owner=%s", owner);
    mark->name = name;
    mark->type = "TXT";
    mark->ttl = MARK_TTL;
    mark->n = 1;
    return mark;
}

/* The set that a mark of ours is of: "_ownhouse-a.x.example" -> A of x.example. */
static bool marked_set(struct arena *a, const struct zone_set *mark, const char *owner, struct zone_set *ret)
{
    const char *dot = strchr(mark->name, '.');
    size_t n = strlen(MARK);
    if (strcmp(mark->type, "TXT") || strncmp(mark->name, MARK, n) || !dot)
        return false;
    char *type = arena_strndup(a, mark->name + n, (size_t)(dot - mark->name) - n);
    for (char *p = type; *p; p++)
        *p = (char)toupper((unsigned char)*p);
    *ret = (struct zone_set){.name = dot + 1, .type = type};
    return dns_type_of(type) && zone_set_equal(make_mark(a, ret, owner), mark);
}

/* ---- the plan ---- */

struct comparing {
    const struct zone_sets *want, *have;
    const char *owner;
    struct arena *a;
    struct records_plan *plan;
};

static void conflict(struct comparing *c, const struct zone_set *set, const char *why)
{
    if (!c->plan->conflicts++)
        snprintf(c->plan->conflict, sizeof(c->plan->conflict), "%s %s: %s", set->name, set->type, why);
}

static void change(struct comparing *c, const struct zone_set *want, const struct zone_set *have,
                   const struct zone_set *mark, bool marked)
{
    c->plan->changes[c->plan->n++] = (struct zone_change){want, have, mark, marked};
}

static void add_removals(struct comparing *c)
{
    for (size_t i = 0; i < c->have->n; i++) {
        struct zone_set key;
        if (marked_set(c->a, &c->have->items[i], c->owner, &key) && !zone_sets_find(c->want, key.name, key.type))
            change(c, NULL, zone_sets_find(c->have, key.name, key.type), &c->have->items[i], true);
    }
}

/* Whether what stands at the name beside the wanted set can stand there with it, or will be gone. */
static bool may_stand(struct comparing *c, const struct zone_set *want)
{
    const struct zone_set *alias = zone_sets_find(c->have, want->name, "CNAME");
    if (!alias || !strcmp(want->type, "CNAME"))
        return true;
    const struct zone_set *mark = make_mark(c->a, alias, c->owner), *there;
    there = zone_sets_find(c->have, mark->name, "TXT");
    return there && zone_set_equal(mark, there);
}

static void compare_one(struct comparing *c, const struct zone_set *want)
{
    const struct zone_set *have = zone_sets_find(c->have, want->name, want->type);
    const struct zone_set *mark = make_mark(c->a, want, c->owner), *there = zone_sets_find(c->have, mark->name, "TXT");
    bool same = have && zone_set_equal(want, have), ours = there && zone_set_equal(mark, there);
    if (!dns_name_valid(mark->name))
        conflict(c, want, "the name is too long for the record that would say whose it is");
    else if (same)
        c->plan->kept++;
    else if (there && !ours)
        conflict(c, want, "another installation says that it is its own, so it is left alone");
    else if (have && !ours)
        conflict(c, want, "there is one already that OwnHouse did not make, so it is left alone");
    else if (!may_stand(c, want))
        conflict(c, want, "a CNAME stands there that OwnHouse did not make, so it is left alone");
    else
        change(c, want, have, mark, ours);
}

void records_compare(const struct zone_sets *want, const struct zone_sets *have, const char *owner,
                     struct records_plan *ret)
{
    struct comparing c = {want, have, owner, have->arena, ret};
    *ret = (struct records_plan){.changes = arena_alloc(have->arena, (want->n + have->n + 1) * sizeof(*ret->changes))};
    add_removals(&c);
    for (size_t i = 0; i < want->n; i++)
        compare_one(&c, &want->items[i]);
}

/* ---- challenges ---- */

int records_challenge(const struct zone_sets *have, const char *identifier, const char *value, bool add,
                      const char *owner, struct zone_sets *scratch, struct zone_change *ret, bool *ret_needed,
                      struct err *err)
{
    const char *name = arena_printf(scratch->arena, RECORDS_CHALLENGE ".%s", identifier);
    const struct zone_set *now = zone_sets_find(have, name, "TXT"), *mark, *there;
    struct zone_set *key = arena_alloc(scratch->arena, sizeof(*key));
    bool found = false;
    int r = 0;
    *key = (struct zone_set){.name = name, .type = "TXT"};
    mark = make_mark(scratch->arena, key, owner);
    there = zone_sets_find(have, mark->name, "TXT");
    bool ours = there && zone_set_equal(mark, there);
    for (size_t i = 0; now && i < now->n; i++) {
        bool same = !strcmp(now->values[i], value);
        found |= same;
        if (!same || add)
            r = zone_sets_add(scratch, name, "TXT", CHALLENGE_TTL, now->values[i], err);
        if (r < 0)
            return r;
    }
    *ret_needed = found != add;
    if (!*ret_needed)
        return 0;
    if ((now && !ours) || (there && !ours))
        return err_set(err, -EEXIST, "%s TXT is there already and OwnHouse did not make it, so it is left alone", name);
    if (add && (r = zone_sets_add(scratch, name, "TXT", CHALLENGE_TTL, value, err)) < 0)
        return r;
    zone_sets_group(scratch);
    *ret = (struct zone_change){scratch->n ? &scratch->items[0] : NULL, now, mark, ours};
    return 0;
}
