/* Makes and drops a grant's user at an engine, over the engine's HTTP interface. */
#include "agent/gate/engine_user.h"

#include "base/mem.h"
#include "blueprint/diag.h"
#include "net/http_client.h"

#include <pthread.h>
#include <stdatomic.h>

#define ASK_MS 5000
#define PASSWORD_BYTES 24

struct engine_user {
    int refs; /* the gate's thread alone */
    char grant[UUID_SIZE], service[UUID_SIZE], name[GRANT_USER_SIZE];
    char password[2 * PASSWORD_BYTES + 1], sha256[2 * SHA256_SIZE + 1];
    char *maker;
    bool server, diag, text;
    int64_t until_ms;
    atomic_bool over;

    pthread_mutex_t lock; /* of what follows */
    char address[64];
    int port;
    bool made;
};

struct engine_user *engine_user_new(const struct engine_user_config *config)
{
    struct engine_user *u = mem_alloc(sizeof(*u));
    const struct grant *grant = config->grant;
    unsigned char raw[PASSWORD_BYTES];
    random_bytes(raw, sizeof(raw));
    hex_encode(raw, sizeof(raw), u->password);
    mem_wipe(raw, sizeof(raw));
    sha256_hex(u->password, strlen(u->password), u->sha256);
    u->refs = 1;
    memcpy(u->grant, grant->id, UUID_SIZE);
    snprintf(u->service, sizeof(u->service), "%s", config->service);
    grant_user_name(grant->id, u->name);
    u->maker = mem_strdup(config->maker);
    u->server = config->server;
    u->diag = grant->targets & 1u << GATE_CLICKHOUSE_DIAG;
    u->text = grant->targets & 1u << GATE_CLICKHOUSE_TEXT;
    u->until_ms = grant->opened_wall_ms + grant->lasts_ms + GRANT_USER_SLACK_MS;
    pthread_mutex_init(&u->lock, NULL);
    return u;
}

struct engine_user *engine_user_ref(struct engine_user *u)
{
    u->refs++;
    return u;
}

void engine_user_unref(struct engine_user *u)
{
    if (!u || --u->refs > 0)
        return;
    pthread_mutex_destroy(&u->lock);
    mem_wipe(u->password, sizeof(u->password));
    mem_wipe(u->maker, strlen(u->maker));
    free(u->maker);
    free(u);
}

bool engine_user_is(const struct engine_user *u, const char *grant, const char *service)
{
    return !strcmp(u->grant, grant) && (!service || !strcmp(u->service, service));
}

const char *engine_user_name(const struct engine_user *u)
{
    return u->name;
}

const char *engine_user_password(const struct engine_user *u)
{
    return u->password;
}

void engine_user_end(struct engine_user *u)
{
    atomic_store(&u->over, true);
}

bool engine_user_over(const struct engine_user *u)
{
    return atomic_load(&u->over);
}

/* One statement, as the gate's own user or as the grant's. Whatever the engine says of an error stays here. */
static int ask(const struct engine_user *u, bool own, const char *query_id, const struct buf *sql, struct err *err)
{
    bool v6 = strchr(u->address, ':') != NULL;
    autofree char *url =
        mem_printf("http://%s%s%s:%d/?query_id=%s", v6 ? "[" : "", u->address, v6 ? "]" : "", u->port, query_id);
    autofree char *basic = mem_printf("%s:%s", own ? u->name : DIAG_READER, own ? u->password : u->maker);
    autoresponse struct http_response response = {0};
    struct http_request request = {
        .method = "POST",
        .url = url,
        .basic = basic,
        .body = sql->data,
        .body_len = sql->len,
        .direct = true,
        .connect_timeout_ms = ASK_MS,
        .timeout_ms = ASK_MS,
    };
    int r = http_do(&request, &response, NULL);
    mem_wipe(basic, strlen(basic));
    if (r < 0)
        return err_set(err, -EIO, "the engine did not answer");
    if (response.status != 200)
        return err_set(err, -EACCES, "the engine answered %d to the statement about the grant's user", response.status);
    return 0;
}

static int grant_database(const struct engine_user *u, const char *query_id, const char *database, struct err *err)
{
    autobuf struct buf sql = BUF_INIT;
    grant_user_grant(u->name, database, &sql);
    return ask(u, false, query_id, &sql, err);
}

/* Under the lock. One that is there from before a restart of the gate has another password. */
static int make(const struct engine_user *u, const char *query_id, struct err *err)
{
    autobuf struct buf drop = BUF_INIT, create = BUF_INIT;
    grant_user_drop(u->name, &drop);
    grant_user_create(u->name, u->sha256, u->until_ms, &create);
    int r = ask(u, false, query_id, &drop, err);
    if (r == 0)
        r = ask(u, false, query_id, &create, err);
    if (r == 0 && u->server && u->diag)
        r = grant_database(u, query_id, DIAG_DATABASE, err);
    if (r == 0 && u->server && u->text)
        r = grant_database(u, query_id, DIAG_TEXT_DATABASE, err);
    return r;
}

int engine_user_make(struct engine_user *u, const char *address, int port, const char *query_id, bool again,
                     struct err *err)
{
    int r = 0;
    pthread_mutex_lock(&u->lock);
    bool there = u->made && u->port == port && !strcmp(u->address, address);
    if (engine_user_over(u)) {
        r = err_set(err, -EACCES, "the grant has ended");
    } else if (!there || again) {
        snprintf(u->address, sizeof(u->address), "%s", address);
        u->port = port;
        u->made = true; /* even if only a part of it is done: the drop takes it away */
        r = make(u, query_id, err);
    }
    pthread_mutex_unlock(&u->lock);
    return r;
}

int engine_user_drop(struct engine_user *u, const char *query_id, struct err *err)
{
    autobuf struct buf kill = BUF_INIT, drop = BUF_INIT;
    int r = 0;
    pthread_mutex_lock(&u->lock);
    if (u->made) {
        grant_user_kill(u->name, &kill);
        grant_user_drop(u->name, &drop);
        if (u->server)
            (void)!ask(u, true, query_id, &kill, NULL);
        r = ask(u, false, query_id, &drop, err);
    }
    if (r == 0)
        u->made = false;
    pthread_mutex_unlock(&u->lock);
    return r;
}
