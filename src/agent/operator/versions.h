/* Which version each engine has, asked over its own HTTP port without any account.
 *
 * Every refusal of a ClickHouse server names its version, so a query by a user who does not exist is enough: the
 * operator holds no password that could read data. One engine is asked at a time, on a work thread, once per start of
 * it; one that does not say is asked again after 30 s. */
#pragma once

#include "base/clock.h"
#include "base/util.h"

#include <uv.h>

#define VERSIONS_TEXT_MAX 48

/* Finds "(version 26.5.1.1" or "(version 24.8.4.13 (official build))" in an answer; false if there is none. Pure. */
bool versions_parse(const char *answer, char out[VERSIONS_TEXT_MAX]);

struct versions;
/* `changed` is called from the loop when an engine has said its version. */
struct versions *versions_new(uv_loop_t *loop, const struct clock *clock, void (*changed)(void *data), void *data);
/* An engine that runs: its workload, address, HTTP port and what tells this start from another. */
void versions_want(struct versions *v, const char *workload, const char *address, int port, int64_t start);
/* "" while it is not known. Borrowed until the next call. */
const char *versions_get(const struct versions *v, const char *workload);
/* Frees; `done` is called (maybe later) when no thread uses it any more. */
void versions_free(struct versions *v, void (*done)(void *data), void *data);
