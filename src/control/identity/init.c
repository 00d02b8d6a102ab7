/* `ownhouse-control init`, `new-key` and `set-up-link`. */
#include "control/identity/init.h"

#include "base/fs.h"
#include "base/mem.h"
#include "control/identity/api_key.h"
#include "control/identity/password.h"
#include "control/identity/roles.h"
#include "control/identity/set_up.h"

#define ADMINISTRATOR "admin@ownhouse.localhost"
#define CREDENTIALS_MAX KIB(16)

struct setup {
    const char *path; /* of the credentials file */
    struct store *store;
    bool with_user; /* init: an organization and its administrator; new-key: a key only */
    json_t *file;   /* the file's content, or NULL */
};

static int read_file(struct setup *u, struct err *err)
{
    autofree char *text = NULL;
    size_t len;
    if (!fs_exists(u->path))
        return 0;
    int r = fs_read_secret(u->path, CREDENTIALS_MAX, &text, &len, err);
    if (r == 0)
        r = js_parse(text, len, CREDENTIALS_MAX, &u->file, err);
    if (text)
        mem_wipe(text, len);
    return r < 0 ? err_wrap(err, r, "credentials file %s", u->path) : 0;
}

/* A field of the credentials file. */
static int field(const struct setup *u, const char *name, const char **ret, struct err *err)
{
    int r = js_string(u->file, u->path, name, 512, ret, err);
    return r == 0 && !**ret ? err_set(err, -EINVAL, "%s.%s: must not be empty", u->path, name) : r;
}

static int write_file(struct setup *u, const char *organization, struct err *err)
{
    struct api_key key;
    char password[PASSWORD_GENERATED_SIZE];
    api_key_generate(&key);
    u->file = json_pack("{s:s}", "organizationId", organization);
    if (u->with_user) {
        password_generate(password);
        json_object_set_new(u->file, "email", json_string(ADMINISTRATOR));
        json_object_set_new(u->file, "password", json_string(password));
        mem_wipe(password, sizeof(password));
    }
    json_object_set_new(u->file, "keyId", json_string(key.key_id));
    json_object_set_new(u->file, "keySecret", json_string(key.secret));
    mem_wipe(&key, sizeof(key));
    char *text = json_dumps(u->file, JSON_INDENT(2));
    size_t len = strlen(text);
    text[len] = '\n'; /* in place of the NUL; the length says where it ends */
    int r = fs_write_atomic(u->path, text, len + 1, 0600, err);
    mem_wipe(text, len);
    free(text);
    return r;
}

static int insert_user(struct setup *u, const char *organization, int64_t now, struct err *err)
{
    char id[UUID_SIZE], hash[PASSWORD_HASH_SIZE];
    const char *email, *password;
    int r = field(u, "email", &email, err);
    if (r == 0)
        r = field(u, "password", &password, err);
    if (r == 0)
        r = password_hash(password, hash, err);
    if (r < 0)
        return r;
    uuid_new(id);
    r = store_exec(u->store, "INSERT INTO organization (id, name, created_at) VALUES ($1, 'My organization', $2)",
                   STORE_ARGS(store_text(organization), store_int(now)), NULL, err);
    if (r == 0)
        r = store_exec(u->store,
                       "INSERT INTO user (id, email, name, password_hash, created_at) VALUES ($1, $2, "
                       "'Administrator', $3, $4)",
                       STORE_ARGS(store_text(id), store_text(email), store_text(hash), store_int(now)), NULL, err);
    if (r == 0)
        r = store_exec(
            u->store, "INSERT INTO member (organization_id, user_id, roles, joined_at) VALUES ($1, $2, $3, $4)",
            STORE_ARGS(store_text(organization), store_text(id), store_text("[\"" ROLE_ADMIN_ID "\"]"), store_int(now)),
            NULL, err);
    return r;
}

static int insert_activity(struct setup *u, const char *organization, const char *type, const char *details,
                           int64_t now, struct err *err)
{
    char id[UUID_SIZE];
    uuid_new(id);
    return store_exec(
        u->store,
        "INSERT INTO activity (id, organization_id, type, actor_type, actor_id, actor_details, "
        "actor_address, details, request_id, created_at) "
        "VALUES ($1, $2, $3, 'system', 'ownhouse-control', 'command line', '', $4, '', $5)",
        STORE_ARGS(store_text(id), store_text(organization), store_text(type), store_text(details), store_int(now)),
        NULL, err);
}

static int insert_key(struct setup *u, const char *organization, int64_t now, struct err *err)
{
    char id[UUID_SIZE], id_hash[65], secret_hash[65];
    const char *key_id, *secret;
    autojson json_t *roles = json_pack("[s]", ROLE_ADMIN_ID);
    autojson json_t *list = json_pack("[{s:s,s:s},{s:s,s:s}]", "source", "0.0.0.0/0", "description", "anywhere",
                                      "source", "::/0", "description", "anywhere");
    int r = field(u, "keyId", &key_id, err);
    if (r == 0)
        r = field(u, "keySecret", &secret, err);
    if (r < 0)
        return r;
    uuid_new(id);
    sha256_hex(key_id, strlen(key_id), id_hash);
    sha256_hex(secret, strlen(secret), secret_hash);
    const struct api_key_row row = {
        .id = id,
        .organization = organization,
        .name = u->with_user ? "Administrator's first key" : "Made by ownhouse-control new-key",
        .key_id_hash = id_hash,
        .secret_hash = secret_hash,
        .suffix = key_id + strlen(key_id) - MIN(strlen(key_id), 4),
        .enabled = true,
        .roles = roles,
        .ip_access_list = list,
        .created_at = now,
    };
    autofree char *details = mem_printf("{\"targetKeyId\":\"%s\"}", id);
    r = api_key_insert(u->store, &row, err);
    return r < 0 ? r : insert_activity(u, organization, "key_create", details, now, err);
}

/* "" in `ret` when the store has no organization yet. */
static int first_organization(struct store *s, char ret[UUID_SIZE], struct err *err)
{
    autorows struct store_rows *rows = NULL;
    ret[0] = 0;
    int r = store_query(s, "SELECT id FROM organization ORDER BY created_at, id LIMIT 1", STORE_NO_ARGS, &rows, err);
    if (r == 0)
        r = store_next(rows, err);
    if (r == 1)
        snprintf(ret, UUID_SIZE, "%s", store_column_text(rows, 0));
    return MIN(r, 0);
}

/* 1 if the file's key is in the store, 0 if not. */
static int key_is_known(struct setup *u, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    const char *key_id;
    char hash[65];
    int r = field(u, "keyId", &key_id, err);
    if (r < 0)
        return r;
    sha256_hex(key_id, strlen(key_id), hash);
    r = store_query(u->store, "SELECT 1 FROM api_key WHERE key_id_hash = $1", STORE_ARGS(store_text(hash)), &rows, err);
    return r < 0 ? r : store_next(rows, err);
}

static int foreign_file(const struct setup *u, struct err *err)
{
    return err_set(err, -EEXIST,
                   "credentials file %s holds a key that this control plane does not know; name another file, or "
                   "move this one away",
                   u->path);
}

/* First start, or one that a crash cut short after the file was written. */
static int make_first(struct setup *u, struct err *err)
{
    char organization[UUID_SIZE];
    const char *of_file;
    int64_t now = clock_wall_ms(&clock_system);
    int r = 0;
    uuid_new(organization);
    if (!u->file)
        r = write_file(u, organization, err);
    if (r == 0)
        r = field(u, "organizationId", &of_file, err);
    if (r == 0 && !uuid_valid(of_file))
        r = foreign_file(u, err);
    if (r == 0)
        r = insert_user(u, of_file, now, err);
    if (r == 0)
        r = insert_activity(u, of_file, "create_organization", "", now, err);
    return r < 0 ? r : insert_key(u, of_file, now, err);
}

static int init_locked(struct setup *u, struct err *err)
{
    char organization[UUID_SIZE];
    int r = first_organization(u->store, organization, err);
    if (r < 0)
        return r;
    if (!*organization)
        return make_first(u, err);
    if (!u->file)
        return err_set(err, -ENOENT,
                       "the control plane is set up already and the credentials file %s is gone; its secrets are "
                       "stored only as hashes, so make a new key: ownhouse-control new-key --config FILE "
                       "--credentials %s",
                       u->path, u->path);
    r = key_is_known(u, err);
    return r == 0 ? foreign_file(u, err) : MIN(r, 0);
}

static int new_key_locked(struct setup *u, struct err *err)
{
    char organization[UUID_SIZE];
    const char *of_file;
    int r = first_organization(u->store, organization, err);
    if (r < 0)
        return r;
    if (!*organization)
        return err_set(err, -ENOENT, "the control plane is not set up yet; use: ownhouse-control init");
    if (!u->file) {
        r = write_file(u, organization, err);
    } else {
        r = key_is_known(u, err);
        if (r != 0)
            return MIN(r, 0);
        r = field(u, "organizationId", &of_file, err);
        if (r == 0 && (strcmp(of_file, organization) || json_object_get(u->file, "password")))
            r = foreign_file(u, err);
    }
    return r < 0 ? r : insert_key(u, organization, clock_wall_ms(&clock_system), err);
}

/* The write lock is held from the look at the store to the commit, so that two calls at once make one key. */
static int set_up(const struct control_config *config, const char *path, bool with_user, struct err *err)
{
    autofree char *db = control_database(config), *folder = control_path(config, "store");
    autostore struct store *s = NULL;
    struct setup u = {.path = path, .with_user = with_user};
    int r = fs_mkdirs(folder, 0700, err);
    if (r == 0)
        r = store_open(db, with_user ? STORE_CREATE : STORE_EXISTING, &s, err);
    if (r == 0)
        r = store_begin(s, err);
    if (r < 0)
        return r;
    u.store = s;
    r = read_file(&u, err);
    if (r == 0)
        r = with_user ? init_locked(&u, err) : new_key_locked(&u, err);
    if (r == 0)
        r = store_commit(s, err);
    else
        store_rollback(s);
    json_decref(u.file);
    return r;
}

int control_init(const struct control_config *config, const char *credentials_path, struct err *err)
{
    return set_up(config, credentials_path, true, err);
}

int control_new_key(const struct control_config *config, const char *credentials_path, struct err *err)
{
    return set_up(config, credentials_path, false, err);
}

/* ---- set-up links ---- */

static int one_text(struct store *s, const char *sql, const char *value, char ret[UUID_SIZE], struct err *err)
{
    autorows struct store_rows *rows = NULL;
    int r = store_query(s, sql, STORE_ARGS(store_text(value)), &rows, err);
    if (r == 0)
        r = store_next(rows, err);
    if (r == 1)
        snprintf(ret, UUID_SIZE, "%s", store_column_text(rows, 0));
    return r;
}

static int find_person(struct store *s, const char *email, char ret[UUID_SIZE], struct err *err)
{
    int r = *email
                ? one_text(s, "SELECT id FROM user WHERE email = $1", email, ret, err)
                : one_text(s,
                           "SELECT user_id FROM member WHERE roles LIKE '%' || $1 || '%' ORDER BY joined_at, user_id "
                           "LIMIT 1",
                           ROLE_ADMIN_ID, ret, err);
    if (r != 0)
        return MIN(r, 0);
    return *email ? err_set(err, -ENOENT, "there is no account with the address %s", email)
                  : err_set(err, -ENOENT, "the control plane is not set up yet; use: ownhouse-control init");
}

static int link_locked(struct store *s, const struct control_config *config, const char *email, bool first_only,
                       char **ret, struct err *err)
{
    char user[UUID_SIZE], any[UUID_SIZE], token[SET_UP_TOKEN_LENGTH + 1], id[UUID_SIZE];
    int64_t now = clock_wall_ms(&clock_system);
    int r = find_person(s, email, user, err);
    if (r == 0 && first_only)
        r = one_text(s, "SELECT id FROM activity WHERE type = $1 LIMIT 1", "user_login", any, err);
    if (r != 0)
        return MIN(r, 0);
    r = set_up_make(s, now, user, token, err);
    uuid_new(id);
    if (r == 0)
        r = store_exec(
            s,
            "INSERT INTO activity (id, organization_id, type, actor_type, actor_id, actor_details, "
            "actor_address, details, request_id, created_at) SELECT $1, organization_id, 'user_set_up_link', "
            "'system', 'ownhouse-control', 'command line', '', $2, '', $3 FROM member WHERE user_id = $2 "
            "ORDER BY joined_at LIMIT 1",
            STORE_ARGS(store_text(id), store_text(user), store_int(now)), NULL, err);
    if (r == 0)
        *ret = mem_printf("https://%s:%lld/set-up#%s", config->server_name, (long long)config->listen_port, token);
    mem_wipe(token, sizeof(token));
    return r;
}

int control_set_up_link(const struct control_config *config, const char *email, bool first_only, char **ret,
                        struct err *err)
{
    autofree char *db = control_database(config), *link = NULL;
    autostore struct store *s = NULL;
    int r = store_open(db, STORE_EXISTING, &s, err);
    if (r == 0)
        r = store_begin(s, err);
    if (r == 0)
        r = link_locked(s, config, email, first_only, &link, err);
    if (r == 0)
        r = store_commit(s, err);
    if (r == 0)
        *ret = TAKE_PTR(link);
    return r;
}
