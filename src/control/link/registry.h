/* Which agent is connected where: connections by agent id. Intrusive, no allocation per entry. */
#pragma once

#include "base/keys.h"

struct registry_entry {
    char agent[UUID_SIZE];
    struct registry_entry *next;
};

struct registry {
    struct registry_entry **buckets;
    size_t size; /* of buckets: 0 or a power of two */
    size_t count;
};

void registry_free(struct registry *r); /* entries stay their owners' */
struct registry_entry *registry_find(const struct registry *r, const char *agent);
/* The agent must not be there already. */
void registry_add(struct registry *r, struct registry_entry *e);
/* An entry that is not there is ignored. */
void registry_remove(struct registry *r, struct registry_entry *e);
/* Calls fn for each; fn may remove the entry it is given. */
void registry_each(struct registry *r, void (*fn)(struct registry_entry *e, void *user), void *user);
