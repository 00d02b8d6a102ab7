#include "agent/operator/taken_up.h"

#include "blueprint/blueprint.h"

#define PAUSE_MS 300       /* between questions to an ingress that has not taken up its files */
#define LOOK_AGAIN_MS 5000 /* between those to one that has */
#define PATIENCE_MS 3000   /* it has so long, then it is told again; doubled each time */
#define MAX_SHIFT 4

void taken_up_init(struct taken_up *t)
{
    *t = (struct taken_up){.waiting_since_ms = -1};
}

bool taken_up_comes_back(struct taken_up *t, const char *generation)
{
    bool other = strcmp(t->wanted, generation);
    snprintf(t->wanted, sizeof(t->wanted), "%s", generation);
    return other && *generation && !strcmp(t->last, generation);
}

bool taken_up_behind(const struct taken_up *t)
{
    return *t->last && strcmp(t->last, t->wanted);
}

bool taken_up_watch(struct taken_up *t, struct asks *asks, const struct runtime_status *ingress, int64_t now,
                    int64_t files_take_ms, int64_t *again_ms)
{
    int64_t pause = PAUSE_MS + files_take_ms / 20;
    asks_want(asks, &(struct question){.name = ingress->name,
                                       .address = ingress->address,
                                       .port = BLUEPRINT_HEALTH_PORT,
                                       .path = "/generation",
                                       .key = t->wanted,
                                       .parse = asks_parse_same,
                                       .pause_ms = pause,
                                       .again_ms = LOOK_AGAIN_MS});
    if (!strcmp(asks_get(asks, ingress->name), t->wanted)) {
        snprintf(t->last, sizeof(t->last), "%s", t->wanted);
        t->waiting_since_ms = -1;
        t->told_again = 0;
        return false;
    }
    if (t->waiting_since_ms < 0)
        t->waiting_since_ms = now;
    *again_ms = MIN(*again_ms, now + pause);
    int64_t patience = (files_take_ms + PATIENCE_MS) << MIN(t->told_again, MAX_SHIFT);
    if (now - t->waiting_since_ms < patience)
        return false;
    t->waiting_since_ms = now;
    t->told_again++;
    return true;
}
