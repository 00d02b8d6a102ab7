/* Has what a replica that goes alone may have brought to those that stay, and says when it may go. */
#include "agent/operator/handover.h"

#include "blueprint/operator_sql.h"

void handover_statement(const struct handover_turn *t, struct buf *out)
{
    autobuf struct buf after = BUF_INIT;
    buf_quote(&after, '\'', t->table);
    autofree char *sql =
        t->fetches ? operator_sql_with("sync-replica", t->table) : operator_sql_with("next-table", after.data);
    buf_adds(out, sql);
}

void handover_heard(struct handover_turn *t, const char *answer)
{
    if (t->fetches) {
        t->fetches = false;
    } else if (*answer != '`') {
        t->done = true;
    } else {
        snprintf(t->table, sizeof(t->table), "%s", answer);
        t->fetches = true;
    }
}

bool handover_is_synced(const char *body)
{
    /* UNKNOWN_TABLE, UNKNOWN_DATABASE; BAD_ARGUMENTS: another table of that name, which does not replicate */
    static const char *const no_more[] = {"Code: 60.", "Code: 81.", "Code: 36."};
    for (size_t i = 0; i < ARRAY_SIZE(no_more); i++)
        if (!strncmp(body, no_more[i], strlen(no_more[i])))
            return true;
    return !*body;
}

struct handover_said handover_sum(const struct handover_turn *turns, unsigned staying, const struct replica_said *said,
                                  int64_t alone)
{
    struct handover_said sum = {.taken = REPLICA_UNKNOWN, .alone = alone, .table = ""};
    bool done = true;
    for (int k = 0; k < BLUEPRINT_MAX_REPLICAS; k++) {
        if (!(staying & (1u << k)))
            continue;
        done = done && turns[k].done;
        if (said[k].known || turns[k].done)
            sum.taken = REPLICA_BEHIND;
        if (!turns[k].done && turns[k].fetches && !*sum.table)
            sum.table = turns[k].table;
    }
    if (done && sum.taken == REPLICA_BEHIND)
        sum.taken = REPLICA_SYNCED;
    return sum;
}

enum handover handover_judge(const struct handover_seen *s)
{
    if (s->asleep)
        return HANDOVER_GO;
    if (!s->others_serve)
        return HANDOVER_WAIT;
    if (s->others_in_step && (!s->can_ask || s->said.taken == REPLICA_SYNCED))
        return HANDOVER_GO;
    return s->waited_ms >= HANDOVER_BOUND_MS || s->mute_ms >= HANDOVER_MUTE_MS ? HANDOVER_GO_LACKING : HANDOVER_WAIT;
}

static const char *lacks(const struct handover_seen *s, struct arena *a)
{
    if (!s->runs)
        return "it is down, so that the others cannot fetch what only it may have";
    if (s->said.taken == REPLICA_UNKNOWN)
        return "those that stay do not say whether they have all that it has";
    if (*s->said.table)
        return arena_printf(a, "within %d minutes those that stay could not fetch all parts of table %s",
                            HANDOVER_BOUND_MS / 60000, s->said.table);
    return arena_printf(a,
                        "within %d minutes those that stay did not come into step with it; it may have a table that "
                        "none of them has",
                        HANDOVER_BOUND_MS / 60000);
}

const char *handover_sentence(const struct handover_seen *s, enum handover judged, struct arena *a)
{
    const char *back = "Its disk stays: with as many replicas as before it comes back with all of it.";
    const char *alone =
        s->said.alone > 0
            ? arena_printf(a, "It has %lld tables that do not replicate, whose rows are on no other replica. ",
                           (long long)s->said.alone)
            : "";
    if (judged == HANDOVER_GO_LACKING)
        return arena_printf(a, "It goes without having handed over everything: %s. %s%s", lacks(s, a), alone, back);
    return judged == HANDOVER_GO && *alone ? arena_printf(a, "%s%s", alone, back) : "";
}
