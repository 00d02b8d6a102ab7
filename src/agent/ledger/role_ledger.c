/* The ledger role: one writer, one key, one folder; answers an append after the leaf is on the disk. */
#include "agent/ledger/client.h"
#include "agent/role.h"
#include "base/ask.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sandbox.h"
#include "ledger/ledger.h"
#include "ledger/witness.h"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>

#define CHECKPOINT_MS 10000
#define CHECKPOINT_LEAVES 1000
#define LEAVES_MAX 1000
#define ANSWER_ROOM KIB(16) /* kept free for what is around the leaves of an answer */

struct role_state {
    const struct agent_role *role;
    char *dir, *bucket; /* bucket: "" = no copy */
    char origin[LEDGER_ORIGIN_SIZE];
    struct signing_key *key;
    struct witness witness; /* of the control plane's own record */
    struct ledger *ledger;  /* NULL: it could not be opened, see `trouble` */
    char trouble[ERR_MESSAGE_MAX];
    int64_t checkpoint_ms; /* monotonic: when the next is due; 0 = nothing new */
};

/* ---- opening ---- */

static void trouble(struct role_state *s, const char *message)
{
    if (strcmp(s->trouble, message) && *message)
        log_error("the ledger", "error", message);
    snprintf(s->trouble, sizeof(s->trouble), "%s", message);
}

/* After a failed write it is opened anew at the next question: only the disk knows what is on it. */
static int need(struct role_state *s, struct err *err)
{
    autofree char *dir = mem_printf("%s/log", s->dir);
    struct ledger_config c = {.dir = dir, .origin = s->origin, .key = s->key, .clock = &clock_system};
    struct err own = ERR_INIT;
    if (s->ledger)
        return 0;
    int r = ledger_open(&c, &s->ledger, &own);
    trouble(s, r < 0 ? own.message : "");
    return r < 0 ? err_set(err, r, "%s", own.message) : 0;
}

static void drop(struct role_state *s)
{
    ledger_close(s->ledger);
    s->ledger = NULL;
}

/* ---- checkpoints ---- */

static void checkpoint(struct role_state *s)
{
    struct err err = ERR_INIT;
    s->checkpoint_ms = 0;
    int r = ledger_checkpoint(s->ledger, &err);
    if (r == 0 && *s->bucket)
        r = ledger_publish(s->ledger, s->bucket, &err);
    trouble(s, r < 0 ? err.message : "");
    if (r < 0) /* later, with the next leaf or in its time */
        s->checkpoint_ms = clock_mono_ms(&clock_system) + CHECKPOINT_MS;
}

static void leaf_added(struct role_state *s)
{
    if (ledger_size(s->ledger) - ledger_signed_size(s->ledger) >= CHECKPOINT_LEAVES)
        checkpoint(s);
    else if (!s->checkpoint_ms)
        s->checkpoint_ms = clock_mono_ms(&clock_system) + CHECKPOINT_MS;
}

/* ---- questions ---- */

static int do_append(struct role_state *s, const json_t *q, json_t *answer, struct err *err)
{
    const char *kind = NULL;
    json_t *body = NULL;
    uint64_t index = 0;
    int r = js_string(q, "", "kind", 64, &kind, err);
    if (r == 0)
        r = js_object(q, "", "body", &body, err);
    /* What the customer handed over at enrolment comes before all that was done by it. */
    if (r == 0 && ledger_size(s->ledger) == 0 && strcmp(kind, "enrolled"))
        r = err_set(err, -EPERM, "the first leaf must be the enrolment bundle's fingerprint");
    if (r == 0)
        r = ledger_append(s->ledger, kind, body, &index, err);
    if (r < 0 && r != -EINVAL && r != -EMSGSIZE && r != -EPERM) {
        trouble(s, err->message);
        if (r != -ENOSPC && r != -EDQUOT && r != -EFBIG)
            drop(s);
    }
    if (r < 0)
        return r;
    if (s->trouble[0] && !s->checkpoint_ms)
        trouble(s, "");
    leaf_added(s);
    return json_object_set_new(answer, "index", json_integer((json_int_t)index));
}

static int do_count(struct role_state *s, const json_t *q, json_t *answer OH_UNUSED, struct err *err)
{
    const char *what = NULL;
    int64_t n = 0;
    int r = js_string(q, "", "what", 64, &what, err);
    if (r == 0)
        r = js_int(q, "", "n", 0, 1LL << 40, &n, err);
    if (r == 0)
        ledger_count(s->ledger, what, n);
    return r;
}

static int do_checkpoint(struct role_state *s, const json_t *q OH_UNUSED, json_t *answer OH_UNUSED, struct err *err)
{
    checkpoint(s);
    return s->checkpoint_ms ? err_set(err, -EIO, "%s", s->trouble) : 0;
}

static int do_status(struct role_state *s, const json_t *q OH_UNUSED, json_t *answer, struct err *err OH_UNUSED)
{
    struct note_verifier v;
    ledger_verifier(s->ledger, &v);
    autofree char *verifier = note_verifier_text(&v);
    json_object_set_new(answer, "size", json_integer((json_int_t)ledger_size(s->ledger)));
    json_object_set_new(answer, "signedSize", json_integer((json_int_t)ledger_signed_size(s->ledger)));
    json_object_set_new(answer, "note", json_string(ledger_note(s->ledger)));
    json_object_set_new(answer, "verifier", json_string(verifier));
    json_object_set_new(answer, "bucket", json_string(s->bucket));
    json_object_set_new(answer, "trouble", json_string(s->trouble));
    return 0;
}

static int do_witness(struct role_state *s, const json_t *q, json_t *answer, struct err *err)
{
    struct merkle_proof p = {0};
    int64_t from = 0;
    uint64_t size = ledger_signed_size(s->ledger);
    json_t *list = json_array();
    json_object_set_new(answer, "proof", list);
    int r = js_int(q, "", "from", 0, INT64_MAX, &from, err);
    if (r == 0 && from > 0 && (uint64_t)from < size)
        r = ledger_consistency(s->ledger, (uint64_t)from, size, &p, err);
    if (r == 0 && (uint64_t)from > size)
        r = err_set(err, -ERANGE, "the witness has seen %lld leaves, this ledger signed %llu", (long long)from,
                    (unsigned long long)size);
    for (size_t i = 0; r == 0 && i < p.n; i++) {
        autofree char *text = base64_encode(p.hashes[i].b, MERKLE_HASH_SIZE);
        json_array_append_new(list, json_string(text));
    }
    json_object_set_new(answer, "note", json_string(ledger_note(s->ledger)));
    json_object_set_new(answer, "size", json_integer((json_int_t)size));
    json_object_set_new(answer, "from", json_integer(from));
    return r;
}

static int do_cosigned(struct role_state *s, const json_t *q, json_t *answer OH_UNUSED, struct err *err)
{
    const char *note = NULL;
    int r = js_string(q, "", "note", NOTE_MAX, &note, err);
    if (r == 0)
        r = ledger_cosigned(s->ledger, note, strlen(note), err);
    if (r == 0)
        ledger_count(s->ledger, "cosignature", 1);
    if (r == 0 && *s->bucket)
        r = ledger_publish(s->ledger, s->bucket, err);
    return r;
}

/* The note is kept here too: what the control plane shows later must fit it. */
static int do_cosign(struct role_state *s, const json_t *q, json_t *answer, struct err *err)
{
    autofree char *note = NULL, *path = mem_printf("%s/activities.note", s->witness.dir);
    autofree char *verifier = note_verifier_text(&s->witness.own);
    uint64_t size = 0;
    int r = witness_cosign(&s->witness, "activities", q, &note, &size, err);
    if (r == 0)
        r = fs_write_atomic(path, note, strlen(note), 0644, err);
    if (r < 0 && r != -ERANGE)
        return r;
    if (note) {
        json_object_set_new(answer, "note", json_string(note));
        ledger_count(s->ledger, "activities", 1);
    }
    json_object_set_new(answer, "verifier", json_string(verifier));
    return json_object_set_new(answer, "size", json_integer((json_int_t)size));
}

static int do_leaves(struct role_state *s, const json_t *q, json_t *answer, struct err *err)
{
    int64_t from = 0, n = 0;
    size_t room = LEDGER_MESSAGE_MAX - ANSWER_ROOM;
    json_t *list = json_array();
    json_object_set_new(answer, "leaves", list);
    int r = js_int(q, "", "from", 0, INT64_MAX, &from, err);
    if (r == 0)
        r = js_int(q, "", "n", 0, LEAVES_MAX, &n, err);
    for (int64_t i = from; r == 0 && i < from + n && (uint64_t)i < ledger_size(s->ledger); i++) {
        autofree char *text = NULL;
        autojson json_t *leaf = NULL;
        size_t len = 0;
        r = ledger_leaf(s->ledger, (uint64_t)i, &text, &len, err);
        if (r < 0 || len + 1 > room)
            break;
        room -= len + 1;
        if ((r = js_parse(text, len, len, &leaf, err)) == 0)
            json_array_append(list, leaf);
    }
    return r;
}

/* Who may ask what: any role records, the operator alone speaks with the witness. */
static const struct {
    const char *op;
    bool operator_only;
    int (*answer)(struct role_state *s, const json_t *q, json_t *answer, struct err *err);
} rules[] = {
    {"append", false, do_append}, {"count", false, do_count},    {"checkpoint", false, do_checkpoint},
    {"status", false, do_status}, {"witness", true, do_witness}, {"cosigned", true, do_cosigned},
    {"leaves", true, do_leaves},  {"cosign", true, do_cosign},
};

struct asked {
    struct role_state *state;
    enum agent_role_id asker;
};

static int decide(void *user, const json_t *q, json_t *answer, struct err *err)
{
    const struct asked *a = user;
    const char *op = NULL;
    int r = js_string(q, "", "op", 32, &op, err);
    if (r == 0)
        r = need(a->state, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
        if (!strcmp(op, rules[i].op) && (!rules[i].operator_only || a->asker == AGENT_ROLE_OPERATOR))
            return rules[i].answer(a->state, q, answer, err);
    return err_set(err, -EPERM, "the %s role may not ask for this", agent_role_names[a->asker]);
}

static void serve(struct role_state *s, int fd, enum agent_role_id asker)
{
    struct asked a = {s, asker};
    struct err err = ERR_INIT;
    if (ask_serve(LEDGER_MESSAGE_MAX, fd, decide, &a, &err) < 0)
        log_warn("refused", "asker", agent_role_names[asker], "error", err.message);
}

/* ---- the role ---- */

static int confine(struct role_state *s, struct err *err)
{
    struct sandbox_report report = {0};
    const char *read[] = {s->role->config_path, NULL}, *write[] = {s->dir, *s->bucket ? s->bucket : NULL, NULL};
    char text[64];
    int r = sandbox_apply(&(struct sandbox_rules){read, write, 0}, &report, err);
    sandbox_describe(&report, text);
    if (r == 0)
        log_info("ledger starts", "sandbox", text, "origin", s->origin);
    return r;
}

static int stop_fd(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC);
}

static int wait_ms(const struct role_state *s)
{
    if (!s->checkpoint_ms)
        return -1;
    return (int)MAX(s->checkpoint_ms - clock_mono_ms(&clock_system), 0);
}

static void run(struct role_state *s)
{
    struct pollfd fds[AGENT_ROLE_COUNT + 1];
    for (int i = 0; i < AGENT_ROLE_COUNT; i++)
        fds[i] = (struct pollfd){s->role->askers[i], POLLIN, 0};
    fds[AGENT_ROLE_COUNT] = (struct pollfd){stop_fd(), POLLIN, 0};
    while (!fds[AGENT_ROLE_COUNT].revents) {
        if (poll(fds, AGENT_ROLE_COUNT + 1, wait_ms(s)) < 0 && errno != EINTR)
            break;
        for (int i = 0; i < AGENT_ROLE_COUNT; i++) {
            if (fds[i].revents & POLLIN)
                serve(s, fds[i].fd, (enum agent_role_id)i);
            else if (fds[i].revents & (POLLHUP | POLLERR))
                fds[i].fd = -1;
        }
        if (s->checkpoint_ms && wait_ms(s) == 0 && need(s, NULL) == 0)
            checkpoint(s);
        else if (s->checkpoint_ms && !s->ledger)
            s->checkpoint_ms = clock_mono_ms(&clock_system) + CHECKPOINT_MS;
    }
    if (s->ledger && s->checkpoint_ms)
        checkpoint(s); /* what was recorded is signed before we go */
}

int role_ledger_main(struct agent_role *r)
{
    struct role_state s = {.role = r, .dir = agent_path(&r->config, "ledger")};
    struct err err = ERR_INIT;
    bool copied = *r->config.bucket_dir && *r->config.ledger_bucket;
    s.bucket = copied ? mem_printf("%s/%s", r->config.bucket_dir, r->config.ledger_bucket) : mem_strdup("");
    int result = ledger_key(s.dir, "ledger", s.origin, &s.key, &err);
    if (result == 0)
        result = witness_open(s.dir, NULL, &clock_system, &s.witness, &err);
    if (result == 0 && *s.bucket)
        result = fs_mkdirs(s.bucket, 0700, &err);
    if (result == 0)
        result = confine(&s, &err);
    if (result < 0) {
        log_error("the ledger cannot start", "error", err.message);
    } else {
        (void)!need(&s, NULL);
        run(&s);
    }
    drop(&s);
    signing_key_free(s.key);
    witness_close(&s.witness);
    free(s.dir);
    free(s.bucket);
    return result < 0;
}
