/* Questions to workloads over HTTP: which version an engine has, and whether the ingress has taken up its files.
 *
 * One question at a time, on a work thread; an answer is remembered until the question's key changes, or another comes
 * where it was asked for once more. What is not answered is asked again after its pause, when it is wanted again. */
#pragma once

#include "base/clock.h"
#include "base/util.h"

#include <uv.h>

#define ASKS_TEXT_MAX 600

/* Takes what matters from an answer's body; false: that was no answer, ask again later. Pure, called on the thread. */
typedef bool (*asks_parse)(const char *body, const char *key, char out[ASKS_TEXT_MAX]);

/* Every refusal of a ClickHouse server names its version, so a query without a password is enough.
 * "(version 26.5.1.1)", "(version 24.8.4.13 (official build))". */
bool asks_parse_version(const char *body, const char *key, char out[ASKS_TEXT_MAX]);
/* An answer only if the body, without its newline, is the key. */
bool asks_parse_same(const char *body, const char *key, char out[ASKS_TEXT_MAX]);

struct question {
    const char *name;    /* whom: a workload's name */
    const char *address; /* IPv4 or IPv6 */
    int port;
    const char *path;     /* with its query string, encoded */
    const char *user;     /* X-ClickHouse-User, or NULL */
    const char *password; /* X-ClickHouse-Key, or NULL */
    const char *body;     /* a statement to POST, or NULL: GET */
    const char *key;      /* another key is another question */
    asks_parse parse;
    int64_t pause_ms; /* while there is no answer */
    int64_t again_ms; /* asked once more so long after the answer, which is dropped when it does not hold; 0: never */
};

struct asks;
/* `changed` is called from the loop when something was answered. */
struct asks *asks_new(uv_loop_t *loop, const struct clock *clock, void (*changed)(void *data), void *data);
void asks_want(struct asks *a, const struct question *q); /* texts are copied */
/* The answer to the question last wanted of this name, "" while there is none. Borrowed until the next call. */
const char *asks_get(const struct asks *a, const char *name);
/* Frees; `done` is called (maybe later) when no thread uses it any more. */
void asks_free(struct asks *a, void (*done)(void *data), void *data);
