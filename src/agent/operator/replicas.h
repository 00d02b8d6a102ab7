/* Judges what the replicas of one service say of themselves, and which of them Keeper has to forget. Pure.
 *
 * A replica's answer is the one row of the statement "replica" (blueprint/operator_sql.h):
 * "DELAY READONLY TABLES SCHEMA AWAY": seconds behind; tables that cannot be written; replicated tables that it has,
 * and a hash of their names; names (r0, r1 ...) that Keeper knows and that are not there now, by commas. */
#pragma once

#include "blueprint/blueprint.h"

#define REPLICA_LAG_S 10 /* more is behind */

struct replica_said {
    bool known; /* it has answered since it started */
    int64_t delay_s, readonly, tables;
    char schema[17];
    unsigned away;          /* bit k: rk is registered and not there */
    unsigned away_database; /* the same of Replicated databases; another statement, "away-of-databases", says it */
};

/* "r0,r11" as bits; names that are not ours are of no concern. */
unsigned replica_names(const char *row);
/* false: that is no such row. */
bool replica_parse(const char *row, struct replica_said *ret);

enum replica_sync {
    REPLICA_UNKNOWN, /* it does not say */
    REPLICA_BEHIND,  /* lags, cannot write, or lacks tables that another has */
    REPLICA_SYNCED,
};
/* Of said[k], among those of the service. */
enum replica_sync replica_judge(const struct replica_said *said, size_t n, size_t k);

struct replica_view {
    struct replica_said said[BLUEPRINT_MAX_REPLICAS];
    unsigned placed;  /* bit k: something of it is in the runtime, running or not */
    unsigned serving; /* bit k: it answers */
    int wanted;       /* replicas */
    /* Number and hash of all its tables, by the statement "objects"; "": not known. Asked only while one more is made
     * for another size. */
    char objects[BLUEPRINT_MAX_REPLICAS][40];
};

/* A replica that Keeper has to forget, and who is told so (*ret_on: lowest of those that serve and say so); -1: none.
 * - One that is not wanted and of which nothing is left in the runtime: the service became smaller. Of tables first,
 * then, when no table knows it any more, of Replicated databases (*ret_database).
 * - One that serves without a table while Keeper holds its name as away: it was rebuilt without its disk, and could not
 * make its tables again (error 253). Databases know
 * it by its fixed id and take it back. A replica that is merely away is never forgotten: it comes back. */
int replica_to_forget(const struct replica_view *v, int *ret_on, bool *ret_database);

/* Whether rk has tables on its disk that Keeper has forgotten: it went once, and came back. They cannot be written
 * until they are registered anew (SYSTEM RESTORE REPLICA, which takes the rows from the others and is refused for a
 * table that is registered). Not while Keeper holds its name as away: then it only connects; and not when nobody else
 * can write either. */
bool replica_to_restore(const struct replica_view *v, int k);
