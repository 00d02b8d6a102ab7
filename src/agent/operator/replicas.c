/* Reads what replicas say and decides by it. */
#include "agent/operator/replicas.h"

static bool number(const char **p, int64_t *ret)
{
    size_t n = strspn(*p, "0123456789");
    if (n == 0 || n > 18)
        return false;
    *ret = strtoll(*p, NULL, 10);
    *p += n;
    return true;
}

static bool blank(const char **p)
{
    return *(*p)++ == ' ';
}

unsigned replica_names(const char *p)
{
    unsigned mask = 0;
    while (*p && *p != '\n') {
        size_t n = strcspn(p, ",\n");
        if (n >= 2 && n <= 3 && *p == 'r' && strspn(p + 1, "0123456789") == n - 1) {
            int k = atoi(p + 1);
            mask |= k < BLUEPRINT_MAX_REPLICAS ? 1u << k : 0;
        }
        p += n + (p[n] == ',');
    }
    return mask;
}

bool replica_parse(const char *row, struct replica_said *ret)
{
    struct replica_said r = {.known = true};
    const char *p = row;
    if (!number(&p, &r.delay_s) || !blank(&p) || !number(&p, &r.readonly) || !blank(&p) || !number(&p, &r.tables) ||
        !blank(&p))
        return false;
    size_t n = strspn(p, "0123456789abcdef");
    if (n == 0 || n > 16 || p[n] != ' ')
        return false;
    memcpy(r.schema, p, n);
    r.away = replica_names(p + n + 1);
    *ret = r;
    return true;
}

enum replica_sync replica_judge(const struct replica_said *said, size_t n, size_t k)
{
    if (!said[k].known)
        return REPLICA_UNKNOWN;
    if (said[k].readonly > 0 || said[k].delay_s > REPLICA_LAG_S)
        return REPLICA_BEHIND;
    for (size_t i = 0; i < n; i++)
        if (said[i].known && said[i].tables > said[k].tables)
            return REPLICA_BEHIND;
    return REPLICA_SYNCED;
}

/* Nothing of it is left, or it stands there empty while `on` has tables. */
static bool is_forgettable(const struct replica_view *v, int k, int on)
{
    bool placed = v->placed & (1u << k), serving = v->serving & (1u << k);
    if (k >= v->wanted)
        return !placed;
    return serving && v->said[k].known && v->said[k].tables == 0 && v->said[on].tables > 0;
}

int replica_to_forget(const struct replica_view *v, int *ret_on, bool *ret_database)
{
    for (int on = 0; on < v->wanted; on++) {
        if (!(v->serving & (1u << on)) || !v->said[on].known)
            continue;
        unsigned gone = v->said[on].away_database & ~v->placed & ~((1u << v->wanted) - 1);
        for (int k = 0; k < BLUEPRINT_MAX_REPLICAS; k++)
            if (k != on && ((v->said[on].away | gone) & (1u << k)) && is_forgettable(v, k, on)) {
                *ret_on = on;
                *ret_database = !(v->said[on].away & (1u << k));
                return k;
            }
    }
    return -1;
}

bool replica_to_restore(const struct replica_view *v, int k)
{
    const struct replica_said *said = v->said;
    if (k >= v->wanted || !(v->serving & (1u << k)) || !said[k].known || said[k].readonly == 0)
        return false;
    bool known = false, away = false;
    for (int on = 0; on < v->wanted; on++)
        if (on != k && (v->serving & (1u << on)) && said[on].known && said[on].tables > 0 && said[on].readonly == 0) {
            known = true;
            away |= said[on].away & (1u << k);
        }
    return known && !away;
}
