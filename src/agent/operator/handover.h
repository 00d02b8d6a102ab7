/* Decides when a replica that nobody wants any more may be stopped: when what it has is with those that stay. Pure.
 *
 * The ingress lets go of it first. Then each replica that stays is told, table after table, to fetch what its queue
 * names (SYSTEM SYNC REPLICA ... LIGHTWEIGHT, blueprint/operator_sql.h). It waits for what stood in the queue when it
 * was told, so inserts that go on do not hold it up. Which table is next is asked by name, in the order of names, so
 * that tables may come and go meanwhile; nothing of it has to be remembered over an agent's restart: it begins anew.
 *
 * Nothing waits for ever: after HANDOVER_BOUND_MS, or HANDOVER_MUTE_MS of a replica that is down or of others that say
 * nothing, it goes all the same, its disk stays, and a sentence says what the others lack. But while none of those that
 * stay serves, it stays too. */
#pragma once

#include "agent/operator/replicas.h"
#include "base/buf.h"
#include "base/mem.h"

#define HANDOVER_BOUND_MS 900000
#define HANDOVER_MUTE_MS 60000
#define HANDOVER_TABLE_MAX 600

/* ---- one that stays, table after table ---- */

struct handover_turn {
    bool done;                      /* it has every table's */
    bool fetches;                   /* `table` is being fetched; else: the one after it is asked for */
    char table[HANDOVER_TABLE_MAX]; /* quoted, as the statement "next-table" names it; "": before the first */
};

/* What it is to be told next (appended). Not when it is done. */
void handover_statement(const struct handover_turn *t, struct buf *out);
/* Its answer: of "next-table" a quoted name, or "-" for none left; of "sync-replica" any text. */
void handover_heard(struct handover_turn *t, const char *answer);
/* Whether an answer to "sync-replica" ends the table's turn: done, or the table is no more. */
bool handover_is_synced(const char *body);

/* ---- all of them ---- */

struct handover_said {
    enum replica_sync taken; /* UNKNOWN: none of those that stay says anything */
    int64_t alone;           /* tables with rows that do not replicate, on the one that goes; -1: it does not say */
    const char *table;       /* the first that somebody still lacks parts of; "" */
};
/* turns[k] of replica k, for those in `staying`. */
struct handover_said handover_sum(const struct handover_turn *turns, unsigned staying, const struct replica_said *said,
                                  int64_t alone);

struct handover_seen {
    bool asleep;         /* the service sleeps: nobody has sent anything for long, and nobody can be told */
    bool others_serve;   /* one that stays does, at least */
    bool others_in_step; /* all of them that serve say so */
    bool can_ask;        /* replicas can be asked at all; then `said` counts */
    bool runs;           /* the one that goes */
    struct handover_said said;
    int64_t waited_ms, mute_ms; /* since the ingress let go; since it is down, or nobody says anything */
};
enum handover { HANDOVER_WAIT, HANDOVER_GO, HANDOVER_GO_LACKING };
enum handover handover_judge(const struct handover_seen *s);
/* What people should know of it when it goes, "" if nothing. */
const char *handover_sentence(const struct handover_seen *s, enum handover judged, struct arena *a);
