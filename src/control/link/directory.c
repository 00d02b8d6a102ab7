/* The link role's statements. */
#include "control/link/directory.h"

#include "base/buf.h"
#include "base/mem.h"

static void copy_column(struct store_rows *rows, int column, char *out, size_t size)
{
    const char *text = store_column_text(rows, column);
    snprintf(out, size, "%s", text ? text : "");
}

int directory_agent(struct store *s, const char *agent, struct directory_agent *ret, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    int r = store_query(s,
                        "SELECT a.infrastructure_id, a.state, d.version FROM agent a "
                        "LEFT JOIN desired_document d ON d.infrastructure_id = a.infrastructure_id WHERE a.id = $1",
                        STORE_ARGS(store_text(agent)), &rows, err);
    if (r == 0)
        r = store_next(rows, err);
    if (r < 0)
        return r;
    if (r == 0)
        return err_set(err, -ENOENT, "this agent is not known here any more: enrol it again");
    if (strcmp(store_column_text(rows, 1), "enrolled"))
        return err_set(err, -EACCES, "this agent has been revoked");
    copy_column(rows, 0, ret->infrastructure, sizeof(ret->infrastructure));
    ret->desired_version = store_column_int(rows, 2);
    return 0;
}

int directory_document(struct store *s, const char *infrastructure, int64_t above, struct directory_document *ret,
                       struct err *err)
{
    autorows struct store_rows *rows = NULL;
    int r = store_query(s,
                        "SELECT version, body, signature FROM desired_document "
                        "WHERE infrastructure_id = $1 AND version > $2",
                        STORE_ARGS(store_text(infrastructure), store_int(above)), &rows, err);
    if (r == 0)
        r = store_next(rows, err);
    if (r <= 0)
        return r;
    ret->version = store_column_int(rows, 0);
    ret->body = mem_strdup(store_column_text(rows, 1));
    copy_column(rows, 2, ret->signature, sizeof(ret->signature));
    return 1;
}

int directory_states(struct store *s, struct directory_state **ret, size_t *ret_count, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    autofree struct directory_state *list = NULL;
    size_t count = 0, room = 0;
    int r = store_query(s,
                        "SELECT a.id, a.infrastructure_id, a.state, d.version, c.generation FROM agent a "
                        "LEFT JOIN desired_document d ON d.infrastructure_id = a.infrastructure_id "
                        "LEFT JOIN consent c ON c.infrastructure_id = a.infrastructure_id "
                        "WHERE a.connected_since IS NOT NULL OR a.state <> 'enrolled'",
                        STORE_NO_ARGS, &rows, err);
    if (r < 0)
        return r;
    while ((r = store_next(rows, err)) > 0) {
        if (count == room) {
            room = room ? 2 * room : 64;
            list = mem_realloc(list, room * sizeof(*list));
        }
        struct directory_state *d = &list[count++];
        copy_column(rows, 0, d->agent, sizeof(d->agent));
        copy_column(rows, 1, d->infrastructure, sizeof(d->infrastructure));
        d->revoked = strcmp(store_column_text(rows, 2), "enrolled") != 0;
        d->desired_version = store_column_int(rows, 3);
        d->consent = store_column_int(rows, 4);
    }
    if (r < 0)
        return r;
    *ret = TAKE_PTR(list);
    *ret_count = count;
    return 0;
}

static int not_accepted(struct err *err)
{
    return err_set(err, -EACCES,
                   "the enrolment token was not accepted: it works once and for a limited time; make a new one");
}

/* The agent that this token made, if the key is the same and it was not revoked since. */
static int enrol_again(struct store *s, const char *made, const char *spki, char agent[UUID_SIZE], struct err *err)
{
    autorows struct store_rows *rows = NULL;
    int r = store_query(s, "SELECT spki, state FROM agent WHERE id = $1", STORE_ARGS(store_text(made)), &rows, err);
    if (r == 0)
        r = store_next(rows, err);
    if (r < 0)
        return r;
    if (r == 0 || strcmp(store_column_text(rows, 1), "enrolled") ||
        strlen(store_column_text(rows, 0)) != strlen(spki) ||
        !bytes_equal(store_column_text(rows, 0), spki, strlen(spki)))
        return not_accepted(err);
    snprintf(agent, UUID_SIZE, "%s", made);
    return 0;
}

/* 1: unused, 0: used by *ret_agent, negative: not accepted or error. */
static int find_token(struct store *s, const char *token_hash, int64_t now_ms, char ret_infrastructure[UUID_SIZE],
                      char ret_agent[UUID_SIZE], struct err *err)
{
    autorows struct store_rows *rows = NULL;
    int r = store_query(s,
                        "SELECT t.infrastructure_id, t.expires_at, t.used_at, t.agent_id FROM enrolment_token t "
                        "JOIN infrastructure i ON i.id = t.infrastructure_id "
                        "WHERE t.hash = $1 AND i.state <> 'infra-terminated'",
                        STORE_ARGS(store_text(token_hash)), &rows, err);
    if (r == 0)
        r = store_next(rows, err);
    if (r < 0)
        return r;
    if (r == 0 || store_column_int(rows, 1) <= now_ms)
        return not_accepted(err);
    copy_column(rows, 0, ret_infrastructure, UUID_SIZE);
    copy_column(rows, 3, ret_agent, UUID_SIZE);
    if (store_column_is_null(rows, 2))
        return 1;
    return *ret_agent ? 0 : not_accepted(err);
}

int directory_enrol(struct store *s, const char *token_hash, const char *spki, const char *name, int64_t now_ms,
                    char agent[UUID_SIZE], char ret_infrastructure[UUID_SIZE], struct err *err)
{
    char made[UUID_SIZE] = "", infrastructure[UUID_SIZE] = "";
    int64_t changed = 0;
    int r = find_token(s, token_hash, now_ms, infrastructure, made, err);
    if (r == 0)
        r = enrol_again(s, made, spki, agent, err);
    else if (r == 1) {
        /* No certificate yet: not_after is set when one was issued. */
        r = store_exec(
            s,
            "INSERT INTO agent (id, infrastructure_id, name, state, spki, certificate_not_after, enrolled_at) "
            "VALUES ($1, $2, $3, 'enrolled', $4, 0, $5)",
            STORE_ARGS(store_text(agent), store_text(infrastructure), store_text(name), store_text(spki),
                       store_int(now_ms)),
            NULL, err);
        if (r == 0)
            r = store_exec(s,
                           "UPDATE enrolment_token SET used_at = $2, agent_id = $3 WHERE hash = $1 AND used_at IS NULL",
                           STORE_ARGS(store_text(token_hash), store_int(now_ms), store_text(agent)), &changed, err);
        if (r == 0 && changed != 1)
            r = err_set(err, -EIO, "the enrolment token changed inside a transaction");
    }
    if (r < 0)
        return r;
    memcpy(ret_infrastructure, infrastructure, UUID_SIZE);
    return 0;
}

int directory_certified(struct store *s, const char *agent, const char *spki, int64_t not_after_ms, struct err *err)
{
    int64_t changed = 0;
    int r = store_exec(s, "UPDATE agent SET spki = $2, certificate_not_after = $3 WHERE id = $1 AND state = 'enrolled'",
                       STORE_ARGS(store_text(agent), store_text(spki), store_int(not_after_ms)), &changed, err);
    if (r == 0 && changed != 1)
        r = err_set(err, -ENOENT, "this agent has been revoked or removed");
    return r;
}

int directory_presence(struct store *s, const struct directory_presence *p, struct err *err)
{
    struct store_value since = p->connected ? store_int(p->since_ms) : store_null();
    struct store_value rtt = p->round_trip_us >= 0 ? store_int(p->round_trip_us) : store_null();
    return store_exec(s,
                      "UPDATE agent SET connected_since = $2, last_seen = $3, "
                      "round_trip_us = COALESCE($4, round_trip_us), address = $5, "
                      "version = CASE WHEN $6 = '' THEN version ELSE $6 END WHERE id = $1",
                      STORE_ARGS(store_text(p->agent), since, store_int(p->seen_ms), rtt, store_text(p->address),
                                 store_text(p->version)),
                      NULL, err);
}

int directory_reset(struct store *s, struct err *err)
{
    return store_exec(s, "UPDATE agent SET connected_since = NULL WHERE connected_since IS NOT NULL", STORE_NO_ARGS,
                      NULL, err);
}

int directory_observed(struct store *s, const char *infrastructure, const char *agent, int64_t desired_version,
                       const char *body, int64_t now_ms, struct err *err)
{
    return store_exec(s,
                      "INSERT INTO observed (infrastructure_id, agent_id, desired_version, body, received_at) "
                      "VALUES ($1, $2, $3, $4, $5) ON CONFLICT (infrastructure_id) DO UPDATE SET "
                      "agent_id = excluded.agent_id, desired_version = excluded.desired_version, "
                      "body = excluded.body, received_at = excluded.received_at",
                      STORE_ARGS(store_text(infrastructure), store_text(agent), store_int(desired_version),
                                 store_text(body), store_int(now_ms)),
                      NULL, err);
}

int directory_grant(struct store *s, const char *grant, int64_t now_ms, struct directory_grant *ret, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    int r = store_query(s,
                        "SELECT g.infrastructure_id, g.device_key, a.id FROM access_grant g LEFT JOIN agent a "
                        "ON a.infrastructure_id = g.infrastructure_id AND a.state = 'enrolled' AND "
                        "a.connected_since IS NOT NULL WHERE g.id = $1 AND g.revoked_at IS NULL AND "
                        "g.ended_at IS NULL AND g.not_after > $2 ORDER BY a.connected_since DESC LIMIT 1",
                        STORE_ARGS(store_text(grant), store_int(now_ms)), &rows, err);
    if (r == 0)
        r = store_next(rows, err);
    if (r < 0)
        return r;
    if (r == 0 || hex_decode(store_column_text(rows, 1), ret->device_key, sizeof(ret->device_key)) < 0)
        return err_set(err, -ENOENT, "there is no such grant, or it has ended: look at `ownhouse access list`");
    copy_column(rows, 0, ret->infrastructure, sizeof(ret->infrastructure));
    copy_column(rows, 2, ret->agent, sizeof(ret->agent));
    return 0;
}

int directory_revocations(struct store *s, struct directory_revocation **ret, size_t *ret_count, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    autofree struct directory_revocation *list = NULL;
    size_t count = 0, room = 0;
    int r = store_query(s,
                        "SELECT id, infrastructure_id FROM access_grant WHERE revoked_at IS NOT NULL AND "
                        "ended_at IS NULL ORDER BY revoked_at LIMIT 1000",
                        STORE_NO_ARGS, &rows, err);
    while (r == 0 && (r = store_next(rows, err)) > 0) {
        if (count == room) {
            room = room ? 2 * room : 16;
            list = mem_realloc(list, room * sizeof(*list));
        }
        copy_column(rows, 0, list[count].grant, UUID_SIZE);
        copy_column(rows, 1, list[count++].infrastructure, UUID_SIZE);
        r = 0;
    }
    if (r < 0)
        return r;
    *ret = TAKE_PTR(list);
    *ret_count = count;
    return 0;
}

int directory_cut(struct store *s, const char *grant, const char *infrastructure, int64_t now_ms, struct err *err)
{
    return store_exec(s,
                      "UPDATE access_grant SET ended_at = $3 WHERE id = $1 AND infrastructure_id = $2 AND "
                      "ended_at IS NULL",
                      STORE_ARGS(store_text(grant), store_text(infrastructure), store_int(now_ms)), NULL, err);
}
