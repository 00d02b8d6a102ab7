/* Makes, stores and checks API keys. */
#include "control/identity/api_key.h"

#include "base/ip_list.h"
#include "base/mem.h"
#include "control/identity/access.h"
#include "control/identity/password.h"

#define MINUTE_MS 60000

void api_key_generate(struct api_key *ret)
{
    uuid_new(ret->id);
    token_generate(ret->key_id, API_KEY_ID_LENGTH);
    token_generate(ret->secret, API_KEY_SECRET_LENGTH);
}

int api_key_insert(struct store *s, const struct api_key_row *row, struct err *err)
{
    autofree char *roles = js_text(row->roles), *list = js_text(row->ip_access_list);
    return store_exec(s,
                      "INSERT INTO api_key (id, key_id_hash, organization_id, name, secret_hash, suffix, state, roles, "
                      "ip_access_list, created_at, expire_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
                      STORE_ARGS(store_text(row->id), store_text(row->key_id_hash), store_text(row->organization),
                                 store_text(row->name), store_text(row->secret_hash), store_text(row->suffix),
                                 store_text(row->enabled ? "enabled" : "disabled"), store_text(roles), store_text(list),
                                 store_int(row->created_at), row->expire_at ? store_int(row->expire_at) : store_null()),
                      NULL, err);
}

void identity_free(struct identity *i)
{
    free(i->name);
    json_decref(i->roles);
    json_decref(i->policies);
    *i = (struct identity){0};
}

static int refuse(struct err *err)
{
    return err_set(err, -EACCES,
                   "the API key is missing, wrong, disabled or expired; send its key id and secret as HTTP Basic "
                   "credentials");
}

/* Columns: id, organization_id, name, secret_hash, state, roles, ip_access_list, expire_at, used_at. */
static int admit(struct store_rows *row, int64_t now, const char *secret_hash, const char *address,
                 struct identity *ret, struct err *err)
{
    const char *stored = store_column_text(row, 3);
    autojson json_t *roles = NULL, *list = NULL;
    if (strlen(stored) != 64 || !bytes_equal(stored, secret_hash, 64))
        return refuse(err);
    if (strcmp(store_column_text(row, 4), "enabled") ||
        (!store_column_is_null(row, 7) && store_column_int(row, 7) <= now))
        return refuse(err);
    const char *text = store_column_text(row, 5), *ips = store_column_text(row, 6);
    int r = js_parse(text, strlen(text), MIB(1), &roles, err);
    if (r == 0)
        r = js_parse(ips, strlen(ips), MIB(1), &list, err);
    if (r < 0)
        return err_wrap(err, -EIO, "stored API key");
    if (!ip_list_holds(list, address))
        return err_set(err, -EPERM, "the API key may not be used from the address %s; see its ipAccessList",
                       *address ? address : "of this client, which is not known");
    snprintf(ret->key, sizeof(ret->key), "%s", store_column_text(row, 0));
    snprintf(ret->organization, sizeof(ret->organization), "%s", store_column_text(row, 1));
    ret->name = mem_strdup(store_column_text(row, 2));
    ret->roles = TAKE_PTR(roles);
    ret->stale_use = store_column_is_null(row, 8) || store_column_int(row, 8) + MINUTE_MS <= now;
    return 0;
}

int api_key_authenticate(struct store *s, const struct clock *clock, const char *key_id, const char *secret,
                         const char *address, struct identity *ret, struct err *err)
{
    static const char nothing[65];
    char id_hash[65], secret_hash[65];
    autorows struct store_rows *rows = NULL;
    sha256_hex(key_id, strlen(key_id), id_hash);
    sha256_hex(secret, strlen(secret), secret_hash);
    int r = store_query(s,
                        "SELECT id, organization_id, name, secret_hash, state, roles, ip_access_list, expire_at, "
                        "used_at FROM api_key WHERE key_id_hash = $1",
                        STORE_ARGS(store_text(id_hash)), &rows, err);
    if (r == 0)
        r = store_next(rows, err);
    if (r < 0)
        return r;
    if (r == 0) {
        (void)!bytes_equal(nothing, secret_hash, 64);
        return refuse(err);
    }
    r = admit(rows, clock_wall_ms(clock), secret_hash, address, ret, err);
    return r < 0 ? r : access_policies(s, ret->organization, ret->roles, &ret->policies, err);
}

int api_key_used(struct store *s, const struct clock *clock, const char *id, struct err *err)
{
    int64_t minute = clock_wall_ms(clock) / MINUTE_MS * MINUTE_MS;
    return store_exec(s, "UPDATE api_key SET used_at = $2 WHERE id = $1 AND (used_at IS NULL OR used_at < $2)",
                      STORE_ARGS(store_text(id), store_int(minute)), NULL, err);
}
