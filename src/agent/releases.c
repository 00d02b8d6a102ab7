/* Holds images and programs against the list that the release key signed. */
#include "agent/releases.h"

#include "base/fs.h"
#include "base/js.h"
#include "base/mem.h"

static int verify(const struct bundle *b, const json_t *file, const char **ret, struct err *err)
{
    static const char *const known[] = {"v", "document", "signature", NULL};
    unsigned char signature[ED25519_SIGNATURE_SIZE];
    const char *document = NULL, *hex = NULL;
    char digest[65];
    int64_t v = 0;
    int r;
    if ((r = js_only(file, "", known, err)) < 0 || (r = js_int(file, "", "v", 1, 1, &v, err)) < 0 ||
        (r = js_string(file, "", "document", RELEASES_MAX_BYTES, &document, err)) < 0 ||
        (r = js_string(file, "", "signature", 128, &hex, err)) < 0)
        return r;
    sha256_hex(document, strlen(document), digest);
    autofree char *statement = mem_printf("ownhouse-releases-v1\n%s\n", digest);
    if (strlen(hex) != 2 * sizeof(signature) || hex_decode(hex, signature, sizeof(signature)) < 0 ||
        !signature_valid(b->release_key, statement, strlen(statement), signature))
        return err_set(err, -EBADMSG, "the signature is not by the release key in this agent's bundle");
    *ret = document;
    return 0;
}

static char *serial_path(const char *state_dir)
{
    return mem_printf("%s/releases.serial", state_dir);
}

/* Older lists may name what was withdrawn since. */
static int check_serial(int64_t serial, const char *state_dir, int64_t *ret_last, struct err *err)
{
    autofree char *path = serial_path(state_dir), *text = NULL;
    size_t len = 0;
    int r = fs_read(path, 64, &text, &len, err);
    if (r < 0 && r != -ENOENT)
        return r;
    *ret_last = r == 0 ? strtoll(text, NULL, 10) : 0;
    if (serial < *ret_last)
        return err_set(err, -ESTALE, "serial %lld is below %lld, the last one accepted", (long long)serial,
                       (long long)*ret_last);
    return 0;
}

static int keep_serial(int64_t serial, const char *state_dir, struct err *err)
{
    autofree char *path = serial_path(state_dir), *now = mem_printf("%lld\n", (long long)serial);
    int64_t last = 0;
    int r = check_serial(serial, state_dir, &last, err);
    if (r < 0 || serial == last)
        return r;
    r = fs_mkdirs(state_dir, 0700, err);
    return r < 0 ? r : fs_write_atomic(path, now, strlen(now), 0600, err);
}

static bool holds(const json_t *list, const char *text)
{
    const json_t *v;
    size_t i;
    json_array_foreach(list, i, v)
    {
        if (json_is_string(v) && !strcmp(json_string_value(v), text))
            return true;
    }
    return false;
}

static int check_images(const json_t *images, const struct agent_config *c, struct err *err)
{
    const char *const keys[] = {"clickhouse_image", "haproxy_image", "knot_image"};
    const char *const values[] = {c->clickhouse_image, c->haproxy_image, c->knot_image};
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        if (*values[i] && !holds(images, values[i]))
            return err_set(err, -EACCES, "%s: %s is not in it: name an image that is, by its digest", keys[i],
                           values[i]);
    return 0;
}

static int check_program(const json_t *programs, const char *digest, struct err *err)
{
    return holds(programs, digest) ? 0
                                   : err_set(err, -EACCES, "this agent's program (SHA-256 %s) is not in it", digest);
}

int releases_program(char ret[65], struct err *err)
{
    autofree char *bytes = NULL;
    size_t len = 0;
    int r = fs_read("/proc/self/exe", RELEASES_PROGRAM_MAX, &bytes, &len, err);
    if (r < 0)
        return err_wrap(err, r, "cannot read the agent's own program");
    sha256_hex(bytes, len, ret);
    return 0;
}

struct list {
    json_t *document, *images, *programs; /* the latter borrowed of the first */
    const char *agent, *agent_image;      /* "" = none */
    char digest[65];                      /* of its text */
    int64_t serial;
};

/* REPOSITORY@sha256:DIGEST, and nothing that could be taken for something else where it is put. */
static bool is_digested(const char *image)
{
    const char *at = strstr(image, "@sha256:");
    return at && at > image && strspn(image, "abcdefghijklmnopqrstuvwxyz0123456789._/:-") == (size_t)(at - image) &&
           *image != '-' && strspn(at + 8, "0123456789abcdef") == 64 && !at[72];
}

static int parse(const char *text, struct list *l, struct err *err)
{
    static const char *const known[] = {"type",     "v",     "serial",     "issuedAt", "images",
                                        "programs", "agent", "agentImage", NULL};
    const char *type = NULL, *issued = NULL;
    int64_t v = 0;
    int r;
    l->agent = l->agent_image = "";
    sha256_hex(text, strlen(text), l->digest);
    if ((r = js_parse(text, strlen(text), RELEASES_MAX_BYTES, &l->document, err)) < 0)
        return r;
    const json_t *d = l->document;
    if ((r = js_only(d, "", known, err)) < 0 || (r = js_string(d, "", "type", 32, &type, err)) < 0 ||
        (r = js_int(d, "", "v", 1, 1, &v, err)) < 0 ||
        (r = js_int(d, "", "serial", 1, INT64_C(1) << 53, &l->serial, err)) < 0 ||
        (r = js_string(d, "", "issuedAt", 32, &issued, err)) < 0 ||
        (r = js_array(d, "", "images", RELEASES_MAX_ENTRIES, &l->images, err)) < 0 ||
        (r = js_array(d, "", "programs", RELEASES_MAX_ENTRIES, &l->programs, err)) < 0 ||
        (r = js_string_opt(d, "", "agent", 64, &l->agent, err)) < 0 ||
        (r = js_string_opt(d, "", "agentImage", RELEASES_IMAGE_MAX, &l->agent_image, err)) < 0)
        return r;
    if (strcmp(type, "ownhouse/releases"))
        return err_set(err, -EINVAL, "type: must be ownhouse/releases");
    if (*l->agent && (strlen(l->agent) != 64 || strspn(l->agent, "0123456789abcdef") != 64))
        return err_set(err, -EINVAL, "agent: must be 64 lower-case hex digits");
    if (*l->agent && !holds(l->programs, l->agent))
        return err_set(err, -EINVAL, "agent: %s is not among programs", l->agent);
    if (*l->agent_image && (!is_digested(l->agent_image) || !holds(l->images, l->agent_image)))
        return err_set(err, -EINVAL, "agentImage: %.80s must be one of images, by its digest", l->agent_image);
    return 0;
}

/* Nothing of it is believed before the signature. */
static int read_list(const struct bundle *bundle, const struct agent_config *c, struct list *l, struct err *err)
{
    autofree char *text = NULL;
    autojson json_t *file = NULL;
    const char *document = NULL;
    size_t len = 0;
    int r = fs_read(c->releases, 2 * RELEASES_MAX_BYTES, &text, &len, err);
    if (r == -ENOENT)
        return err_set(err, r, "releases: there is no file %s", c->releases);
    if (r == 0 && (r = js_parse(text, len, 2 * RELEASES_MAX_BYTES, &file, err)) == 0 &&
        (r = verify(bundle, file, &document, err)) == 0)
        r = parse(document, l, err);
    return r;
}

int releases_check(const struct bundle *bundle, const struct agent_config *c, const char *program,
                   const char *state_dir, struct err *err)
{
    struct list l = {0};
    if (!bundle->has_release_key)
        return 0;
    if (!*c->releases)
        return err_set(err, -EACCES,
                       "the bundle has a release key, so that only listed releases may run here: set `releases` in "
                       "agent.conf to the signed list");
    int r = read_list(bundle, c, &l, err);
    if (r == 0)
        r = strcmp(c->runtime, "kubernetes") ? check_program(l.programs, program, err) : check_images(l.images, c, err);
    if (r == 0)
        r = keep_serial(l.serial, state_dir, err);
    json_decref(l.document);
    return r < 0 && r != -ENOENT ? err_wrap(err, r, "the list of releases %s", c->releases) : r;
}

static int read_newest(const struct bundle *bundle, const struct agent_config *c, const char *state_dir, struct list *l,
                       struct err *err)
{
    int64_t last = 0;
    int r = read_list(bundle, c, l, err);
    return r < 0 ? r : check_serial(l->serial, state_dir, &last, err);
}

int releases_wanted(const struct bundle *bundle, const struct agent_config *c, const char *state_dir, char ret[65],
                    struct err *err)
{
    struct list l = {0};
    int r = read_newest(bundle, c, state_dir, &l, err);
    if (r == 0)
        snprintf(ret, 65, "%s", l.agent);
    json_decref(l.document);
    return r < 0 ? err_wrap(err, r, "the list of releases %s", c->releases) : 0;
}

int releases_wanted_image(const struct bundle *bundle, const struct agent_config *c, const char *state_dir,
                          char ret[RELEASES_IMAGE_MAX + 1], char ret_list[65], struct err *err)
{
    struct list l = {0};
    int r = read_newest(bundle, c, state_dir, &l, err);
    if (r == 0 && *l.agent_image)
        r = check_images(l.images, c, err);
    if (r == 0) {
        snprintf(ret, RELEASES_IMAGE_MAX + 1, "%s", l.agent_image);
        memcpy(ret_list, l.digest, sizeof(l.digest));
    }
    json_decref(l.document);
    return r < 0 ? err_wrap(err, r, "the list of releases %s", c->releases) : 0;
}
