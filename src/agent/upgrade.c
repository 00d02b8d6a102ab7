/* Tries a release of the agent on one role, keeps it or takes it back. */
#include "agent/upgrade.h"

#include "agent/link/identity.h"
#include "agent/releases.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/keys.h"
#include "base/log.h"
#include "base/mem.h"

#include <sys/stat.h>

#define STATUS_MAX MIB(2)
#define STATE_MAX KIB(64)
#define FAILED_MAX 64

struct upgrade {
    const struct agent_config *config;
    char *path;             /* of release.json */
    json_t *state;          /* its contents */
    char *taken, *trial;    /* paths; NULL: as installed, none */
    char trial_digest[65];  /* "" while none is tried */
    int64_t until_ms;       /* for the trial */
    struct stat list, file; /* as of the last refusal: the same is not read again */
};

static json_t *load(const char *path)
{
    autofree char *text = NULL;
    size_t len = 0;
    json_t *v = NULL;
    if (fs_read(path, STATE_MAX, &text, &len, NULL) < 0 || js_parse(text, len, STATE_MAX, &v, NULL) < 0)
        return NULL;
    return v;
}

json_t *upgrade_told(const struct agent_config *config)
{
    autofree char *path = agent_path(config, "state/release.json");
    return load(path);
}

static void say(struct upgrade *u, const char *result, const char *program, const char *why)
{
    struct err err = ERR_INIT;
    char at[CLOCK_ISO_SIZE];
    clock_iso(clock_wall_ms(&clock_system), at);
    json_object_set_new(u->state, "last",
                        json_pack("{ss ss ss ss}", "result", result, "program", program, "why", why, "at", at));
    autofree char *text = js_text(u->state);
    if (fs_write_atomic(u->path, text, strlen(text), 0600, &err) < 0)
        log_error("what came of a release cannot be kept", "error", err.message);
    log_write(strcmp(result, "taken") ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO, "release of the agent", "result", result,
              "program", program, "why", why, NULL);
}

/* ---- the program ---- */

static char *path_of(const struct upgrade *u, const char *digest)
{
    return mem_printf("%s/%s", u->config->release_dir, digest);
}

static int check_program(const char *path, const char *digest, struct err *err)
{
    struct stat st;
    char found[65];
    autofree char *bytes = NULL;
    size_t len = 0;
    if (lstat(path, &st) < 0)
        return err_set_errno(err, -errno, "cannot read %s", path);
    if (!S_ISREG(st.st_mode) || (st.st_mode & 022) || (st.st_uid && st.st_uid != geteuid()))
        return err_set(err, -EACCES, "%s must be a file of yours or root's that others cannot write", path);
    int r = fs_read(path, RELEASES_PROGRAM_MAX, &bytes, &len, err);
    if (r < 0)
        return r;
    sha256_hex(bytes, len, found);
    if (strcmp(found, digest))
        return err_set(err, -EBADMSG, "%s has the SHA-256 %s: it is not that release", path, found);
    return 0;
}

struct upgrade *upgrade_new(const struct agent_config *config)
{
    if (!*config->release_dir || !*config->releases || strcmp(config->runtime, "process"))
        return NULL;
    struct upgrade *u = mem_alloc(sizeof(*u));
    struct err err = ERR_INIT;
    u->config = config;
    u->path = agent_path(config, "state/release.json");
    u->state = load(u->path);
    if (!json_is_object(u->state)) {
        json_decref(u->state);
        u->state = json_pack("{si ss s[]}", "v", 1, "program", "", "failed");
    }
    const char *digest = js_text_at(u->state, "program");
    if (*digest) {
        autofree char *path = path_of(u, digest);
        if (check_program(path, digest, &err) == 0)
            u->taken = TAKE_PTR(path);
        else
            log_error("the release in force cannot be used: the installed program runs", "error", err.message);
    }
    return u;
}

void upgrade_free(struct upgrade *u)
{
    if (!u)
        return;
    json_decref(u->state);
    free(u->path);
    free(u->taken);
    free(u->trial);
    free(u);
}

const char *upgrade_program(const struct upgrade *u, bool canary)
{
    return !u ? NULL : canary && u->trial ? u->trial : u->taken;
}

/* ---- health ---- */

/* The operator that runs is linked and has looked at what is wanted. */
static bool healthy(const struct upgrade *u, pid_t operator_pid)
{
    autofree char *path = agent_path(u->config, "run/status.json"), *text = NULL;
    autojson json_t *v = NULL;
    size_t len = 0;
    if (operator_pid <= 0 || fs_read(path, STATUS_MAX, &text, &len, NULL) < 0 ||
        js_parse(text, len, STATUS_MAX, &v, NULL) < 0)
        return false;
    return json_integer_value(json_array_get(json_object_get(v, "process"), 0)) == operator_pid &&
           json_is_true(json_object_get(json_object_get(v, "link"), "connected")) && json_object_get(v, "observed");
}

/* ---- steps ---- */

static bool has_failed(const struct upgrade *u, const char *digest)
{
    const json_t *list = json_object_get(u->state, "failed");
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!strcmp(json_string_value(json_array_get(list, i)), digest))
            return true;
    return false;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static enum upgrade_step begin(struct upgrade *u, pid_t operator_pid, int64_t now_ms)
{
    struct stat list = {0}, file = {0};
    struct err err = ERR_INIT;
    autofree char *dir = agent_path(u->config, "link"), *state = agent_path(u->config, "state");
    char wanted[65] = "";
    if (stat(u->config->releases, &list) < 0 || !healthy(u, operator_pid))
        return UPGRADE_NOTHING; /* what does not work is not made better by changing it */
    struct bundle *bundle = NULL;
    if (identity_bundle(dir, &bundle, NULL) < 0)
        return UPGRADE_NOTHING;
    int r = bundle->has_release_key ? releases_wanted(bundle, u->config, state, wanted, &err) : 0;
    bundle_free(bundle);
    autofree char *path = path_of(u, wanted);
    if (r == 0 && (!*wanted || !strcmp(wanted, js_text_at(u->state, "program")) || has_failed(u, wanted)))
        return UPGRADE_NOTHING;
    (void)!(r == 0 && stat(path, &file) == 0);
    if (same_file(&list, &u->list) && same_file(&file, &u->file))
        return UPGRADE_NOTHING;
    if (r == 0)
        r = check_program(path, wanted, &err);
    u->list = list;
    u->file = file;
    if (r < 0) {
        say(u, "refused", wanted, err.message);
        return UPGRADE_NOTHING;
    }
    u->trial = TAKE_PTR(path);
    memcpy(u->trial_digest, wanted, sizeof(wanted));
    u->until_ms = now_ms + u->config->release_patience * 1000;
    log_info("a release of the agent is tried", "program", wanted);
    return UPGRADE_OPERATOR;
}

static enum upgrade_step take(struct upgrade *u)
{
    free(u->taken);
    u->taken = TAKE_PTR(u->trial);
    json_object_set_new(u->state, "program", json_string(u->trial_digest));
    say(u, "taken", u->trial_digest, "");
    *u->trial_digest = '\0';
    return UPGRADE_OTHERS;
}

static enum upgrade_step give_up(struct upgrade *u, const char *why)
{
    json_t *failed = json_object_get(u->state, "failed");
    while (json_array_size(failed) >= FAILED_MAX)
        json_array_remove(failed, 0);
    json_array_append_new(failed, json_string(u->trial_digest));
    free(TAKE_PTR(u->trial));
    say(u, "rolled-back", u->trial_digest, why);
    *u->trial_digest = '\0';
    return UPGRADE_OPERATOR;
}

enum upgrade_step upgrade_look(struct upgrade *u, pid_t operator_pid, int ends, int64_t now_ms)
{
    if (!u->trial)
        return begin(u, operator_pid, now_ms);
    if (healthy(u, operator_pid))
        return take(u);
    if (ends >= UPGRADE_ENDS_MAX)
        return give_up(u, "its operator ended again and again");
    if (now_ms >= u->until_ms)
        return give_up(u, "its operator had no link, or made no pass, within release_patience");
    return UPGRADE_NOTHING;
}
