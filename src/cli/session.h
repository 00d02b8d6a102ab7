/* What a command that talks to the control plane begins with, and the questions many of them ask. */
#pragma once

#include "cli/api.h"
#include "cli/command.h"
#include "cli/install.h"

struct session {
    struct cli *cli;
    struct install install;
    struct api *api;
};

/* Reads settings and credentials; -ENOENT when nothing is installed in this home. */
OH_MUST_CHECK int session_open(struct cli *c, struct session *ret, struct err *err);
void session_close(struct session *s);
#define autosession OH_CLEANUP(session_close)

/* Finds one object in a list answer by its `id` or by a field; -ENOENT "there is no WHAT NAME", -EINVAL when several
 * have that name. Borrowed from the list. */
OH_MUST_CHECK int session_pick(const json_t *list, const char *what, const char *field, const char *name,
                               const json_t **ret, struct err *err);

/* The account or infrastructure or service of that name (or id), new reference; -ENOENT as above. */
OH_MUST_CHECK int session_account(const struct session *s, const char *name, json_t **ret, struct err *err);
OH_MUST_CHECK int session_infrastructure(const struct session *s, const char *name, json_t **ret, struct err *err);
OH_MUST_CHECK int session_service(const struct session *s, const char *name, json_t **ret, struct err *err);

/* A string field for showing, "" if it is missing or no string. Borrowed. */
const char *session_text(const json_t *obj, const char *key);

/* Asks again and again until `done` says so: 1 done, 0 not yet, negative an error that ends it. -ETIMEDOUT after
 * timeout_ms, with `what` in the sentence. API errors that pass (a restart) are waited out, for two minutes at most. */
typedef int (*session_done)(struct session *s, void *data, struct err *err);
OH_MUST_CHECK int session_wait(struct session *s, int timeout_ms, const char *what, session_done done, void *data,
                               struct err *err);

/* Waits until the service is in `state` ("gone": no longer there), showing its state in the open step. A service that
 * failed ends the wait with its error. */
OH_MUST_CHECK int session_wait_service(struct session *s, const char *id, const char *state, int timeout_ms,
                                       json_t **ret, struct err *err);

/* What an infrastructure's answer says of its agent and its isolation. */
bool session_agent_connected(const json_t *infrastructure);
/* Without a network namespace: a warning that names what is missing. */
void session_tell_isolation(struct ui *ui, const json_t *infrastructure);
/* The port on localhost that the service has for itself, 0 if none. */
int session_service_port(const json_t *service);
