/* Golden cases of the blueprint: tests/golden/blueprint/NAME.json holds an input (`desired`, `env`) and what must come
 * of it (`workloads`, with file contents as lists of lines so that a person can read a difference). */
#pragma once

#include "../test.h"

#include "base/js.h"
#include "blueprint/blueprint.h"

struct golden {
    char *path;
    json_t *root;
    struct desired *desired;
    struct blueprint_env env; /* borrows from root and arena */
    struct arena *arena;
};

/* Reads one case; fails the test with a message if it is not one. */
void golden_load(const char *path, struct golden *ret);
void golden_free(struct golden *g);
/* The workloads as the file shows them (new reference). */
json_t *golden_show(const struct workload_list *l);
/* Calls f for each NAME.json in the folder, in order of names; returns how many. */
int golden_each(const char *folder, void (*f)(const char *path, void *data), void *data);
