/* What tests of the local cloud share: a scratch infrastructure with a random id, state and journal in memory. */
#pragma once

#include "../test.h"

#include "base/keys.h"
#include "cloud/local/local.h"

struct bench {
    char *dir, *account, *control, *bundle, *agent;
    char id[UUID_SIZE];
    struct local_env env;
    int minted;
    json_t *records, *journal;
    struct plan_state state;
    struct plan_journal j;
    struct plan_context c;
};

/* Fixtures: *state is a struct bench. The teardown removes what a failed test left on the machine. */
int bench_setup(void **state);
int bench_teardown(void **state);
#define BENCH_TEST(f) cmocka_unit_test_setup_teardown(f, bench_setup, bench_teardown)

/* The program that stands for ownhouse-agent; default /bin/true. */
void bench_agent(struct bench *b, const char *program);

/* Runs a shell line in which every @ stands for `name`. */
bool bench_run(const char *line, const char *name);

/* Plans, approves and applies; fails the test with the message on error. */
void bench_go(struct bench *b, const struct plan_graph *g, enum plan_kind kind, bool delete_data);
int bench_try(struct bench *b, const struct plan_graph *g, enum plan_kind kind, bool delete_data, struct err *err);
/* Fails unless a new plan would do nothing. */
void bench_settled(struct bench *b, const struct plan_graph *g);
/* The plan's action for a resource; fails if it is not there. */
const char *bench_action(struct bench *b, const struct plan_graph *g, const char *key);

bool bench_is_root(void); /* skips the test by name when not */
