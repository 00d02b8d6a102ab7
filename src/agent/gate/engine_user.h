/* A grant's own user at the engine of one service: made before the first statement, dropped with the grant. Its
 * password is random, in this process's memory alone, and another after a restart of the gate.
 *
 * Made and freed on the gate's thread; engine_user_make() and _drop() block and are for work threads, of which any
 * number may call them at once. */
#pragma once

#include "agent/gate/grants.h"
#include "blueprint/grant_user.h"

struct engine_user;

struct engine_user_config {
    const struct grant *grant;
    const char *service;
    bool server;       /* a real server, which keeps rights; else the embedded engine's */
    const char *maker; /* password of DIAG_READER */
};
struct engine_user *engine_user_new(const struct engine_user_config *config); /* texts are copied; one reference */
struct engine_user *engine_user_ref(struct engine_user *u);
void engine_user_unref(struct engine_user *u); /* NULL is fine */

bool engine_user_is(const struct engine_user *u, const char *grant, const char *service); /* service NULL: any */
const char *engine_user_name(const struct engine_user *u);
const char *engine_user_password(const struct engine_user *u);

/* Makes it at this engine, unless that was done; `again` whatever was done (the engine says that it does not know it).
 * query_id: that of all statements it takes. -EACCES: it was dropped, or the engine refuses; -EIO: no answer. */
OH_MUST_CHECK int engine_user_make(struct engine_user *u, const char *address, int port, const char *query_id,
                                   bool again, struct err *err);
/* From now on it is not made any more, and who has made it must not ask as it; does not block. */
void engine_user_end(struct engine_user *u);
bool engine_user_over(const struct engine_user *u);
/* Stops what still runs as it and drops it where it was made, after engine_user_end(). 0 where it never was. */
OH_MUST_CHECK int engine_user_drop(struct engine_user *u, const char *query_id, struct err *err);
