/* The plan engine's state and journal in a file, FOLDER/state.json, for programs that scenarios start. */
#pragma once

#include "base/fs.h"
#include "base/mem.h"
#include "plan/plan.h"

struct keeper {
    char *path;
    json_t *all; /* {"records":{KEY:RECORD},"journal":{TOKEN:PHASE}} */
    struct plan_state state;
    struct plan_journal journal;
};

OH_MUST_CHECK int keeper_open(struct keeper *k, const char *folder, struct err *err);
void keeper_close(struct keeper *k);
/* FOLDER/NAME as JSON, at most 4 MiB. */
OH_MUST_CHECK int keeper_load(const char *folder, const char *name, json_t **ret, struct err *err);
