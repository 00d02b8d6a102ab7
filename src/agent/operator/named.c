/* Hands the names role what is wanted, and takes what came of it. */
#include "agent/operator/named.h"

#include "agent/names/names.h"
#include "agent/names/records.h"
#include "base/fs.h"

#include <sys/stat.h>

struct named {
    char *wanted_path, *names_dir, *state_path; /* NULL: nobody keeps names */
    bool acme;
    char *written; /* what is wanted, as it stands in the file */
    struct stat seen;
    struct acme_certificate certificate;
    char *problem; /* of the certificate in place; NULL = none */
    json_t *state; /* as read and checked; NULL: nothing yet */
};

struct named *named_new(const char *wanted_dir, const char *names_dir, bool acme)
{
    struct named *n = mem_alloc(sizeof(*n));
    if (!names_dir)
        return n;
    n->wanted_path = mem_printf("%s/names.json", wanted_dir);
    n->names_dir = mem_strdup(names_dir);
    n->state_path = mem_printf("%s/state.json", names_dir);
    n->acme = acme;
    return n;
}

void named_free(struct named *n)
{
    if (!n)
        return;
    acme_certificate_free(&n->certificate);
    json_decref(n->state);
    free(n->problem);
    free(n->written);
    free(n->wanted_path);
    free(n->names_dir);
    free(n->state_path);
    free(n);
}

/* ---- down ---- */

static char *wanted_text(const char *infrastructure, const struct desired *d, const char *targets)
{
    autoarena struct arena *a = arena_new();
    json_t *names = json_array(), *list = json_array();
    for (size_t i = 0; i < d->n_services; i++)
        if (d->services[i].state != DESIRED_DELETED)
            json_array_append_new(names, json_string(blueprint_host(d, &d->services[i], a)));
    char *rest = arena_strdup(a, targets), *word;
    while ((word = strtok_r(rest, " \t,", &rest)))
        json_array_append_new(list, json_string(word));
    autojson json_t *o = json_pack("{s:i, s:s, s:s, s:o, s:o}", "v", 1, "infrastructure", infrastructure, "domain",
                                   d->domain, "names", names, "targets", list);
    return js_text(o);
}

int named_want(struct named *n, const char *infrastructure, const struct desired *d, const char *targets,
               struct err *err)
{
    if (!n->wanted_path)
        return 0;
    char *text = wanted_text(infrastructure, d, targets);
    int r =
        n->written && !strcmp(text, n->written) ? 0 : fs_write_atomic(n->wanted_path, text, strlen(text), 0600, err);
    if (r < 0) {
        free(text);
        return r;
    }
    free(n->written);
    n->written = text;
    return 0;
}

/* ---- up ---- */

static int parse_state(const char *text, size_t len, json_t **ret)
{
    static const char *const known[] = {"v", "dns", "acme", NULL};
    autojson json_t *o = NULL;
    json_t *part = NULL;
    const char *word = NULL, *error = NULL;
    int64_t number;
    int r = js_parse(text, len, NAMES_STATE_MAX, &o, NULL);
    if (r < 0 || js_only(o, "", known, NULL) < 0 || js_int(o, "", "v", 1, 1, &number, NULL) < 0)
        return -EINVAL;
    if (js_object(o, "", "dns", &part, NULL) < 0 || js_string(part, "dns", "state", 16, &word, NULL) < 0 ||
        js_string(part, "dns", "error", ERR_MESSAGE_MAX, &error, NULL) < 0 ||
        js_int(part, "dns", "records", 0, 1000000, &number, NULL) < 0 ||
        js_int(part, "dns", "conflicts", 0, 1000000, &number, NULL) < 0)
        return -EINVAL;
    if (js_object(o, "", "acme", &part, NULL) < 0 || js_string(part, "acme", "state", 16, &word, NULL) < 0 ||
        js_string(part, "acme", "error", ERR_MESSAGE_MAX, &error, NULL) < 0)
        return -EINVAL;
    *ret = TAKE_PTR(o);
    return 0;
}

static void look_state(struct named *n)
{
    autofree char *text = NULL;
    json_t *fresh = NULL;
    size_t len = 0;
    if (fs_read(n->state_path, NAMES_STATE_MAX, &text, &len, NULL) < 0 || parse_state(text, len, &fresh) < 0)
        return;
    json_decref(n->state);
    n->state = fresh;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* What was in use stays so if what lies there now is none: the state says so. */
static bool look_certificate(struct named *n, const char *domain)
{
    autofree char *path = mem_printf("%s/certificate.pem", n->names_dir);
    struct acme_certificate fresh = {0};
    struct err err = ERR_INIT;
    struct stat st;
    if (stat(path, &st) < 0 || same_file(&st, &n->seen))
        return false;
    n->seen = st;
    free(TAKE_PTR(n->problem));
    if (acme_load(n->names_dir, domain, &fresh, &err) < 0) {
        n->problem = mem_strdup(err.message);
        return false;
    }
    bool other = !n->certificate.pem || strcmp(n->certificate.pem, fresh.pem) != 0;
    acme_certificate_free(&n->certificate);
    n->certificate = fresh;
    return other;
}

bool named_look(struct named *n, const char *domain, int64_t now_ms)
{
    if (!n->names_dir)
        return false;
    look_state(n);
    bool other = n->acme && look_certificate(n, domain);
    if (n->certificate.pem && now_ms >= n->certificate.not_after_ms) {
        acme_certificate_free(&n->certificate);
        other = true;
    }
    return other;
}

const char *named_pem(const struct named *n)
{
    return n->certificate.pem;
}

const char *named_certificate_state(int64_t not_before_ms, int64_t not_after_ms, int64_t now_ms)
{
    if (now_ms < not_before_ms)
        return "clock";
    if (now_ms >= not_after_ms)
        return "expired";
    return not_after_ms - now_ms < (not_after_ms - not_before_ms) / 6 ? "late" : "ok";
}

json_t *named_dns(const struct named *n)
{
    if (!n->names_dir)
        return NULL;
    const json_t *dns = json_object_get(n->state, "dns");
    return dns ? json_deep_copy(dns)
               : json_pack("{s:s, s:i, s:i, s:s}", "state", "waiting", "records", 0, "conflicts", 0, "error", "");
}

json_t *named_certificate(const struct named *n, int64_t own_not_before_ms, int64_t own_not_after_ms, int64_t now_ms)
{
    bool acme = n->certificate.pem != NULL;
    int64_t from = acme ? n->certificate.not_before_ms : own_not_before_ms,
            to = acme ? n->certificate.not_after_ms : own_not_after_ms;
    const json_t *part = json_object_get(n->state, "acme");
    const char *error = json_string_value(json_object_get(part, "error"));
    if (n->acme && n->problem)
        error = n->problem;
    const char *state = named_certificate_state(from, to, now_ms);
    /* Not the one that was asked for. */
    if (n->acme && !acme)
        state = error && *error ? "failed" : "waiting";
    return json_pack("{s:s, s:s, s:I, s:o}", "source", acme ? "acme" : "own", "state", state, "notAfterMs",
                     (json_int_t)to, "error", js_string_of(n->acme && error ? error : ""));
}
