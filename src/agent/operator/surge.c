/* The phases in which a service becomes another size, and what is rendered and said in each. */
#include "agent/operator/surge.h"

const char *const surge_phase_names[] = {"none", "coming", "admitted", "replacing", "in-place", "refused"};

/* ---- what is asked for ---- */

static void enter(struct surge *s, enum surge_phase phase, enum surge_is why)
{
    s->phase = phase;
    s->why = why;
    s->since_ms = s->admitted_at_ms = 0;
}

static void settle(struct surge *s, int64_t bytes)
{
    enter(s, SURGE_NONE, SURGE_IN_STEP);
    s->settled = bytes;
    s->target = s->begun_ms = 0;
    s->replicas = 0;
    s->fresh = false;
}

static void begin(struct surge *s, const struct surge_asked *a, int64_t wall_ms)
{
    bool room = a->replicas < BLUEPRINT_MAX_REPLICAS;
    s->fresh = s->phase == SURGE_COMING && s->replicas == a->replicas && s->fresh;
    enter(s, room && a->can_ask ? SURGE_COMING : SURGE_IN_PLACE,
          !room         ? SURGE_NO_ROOM
          : !a->can_ask ? SURGE_MUTE
                        : SURGE_IN_STEP);
    s->target = a->bytes;
    s->replicas = a->replicas;
    s->begun_ms = wall_ms;
}

/* What the surge took in while it served is not left behind: it starts with the others, and goes then. */
static void ask_resting(struct surge *s, const struct surge_asked *a)
{
    if (s->phase != SURGE_ADMITTED && s->phase != SURGE_REPLACING) {
        settle(s, a->bytes);
        return;
    }
    if (s->phase == SURGE_ADMITTED)
        enter(s, SURGE_REPLACING, SURGE_IN_STEP);
    s->target = a->bytes;
    s->replicas = MIN(a->replicas, s->replicas);
}

/* The replica after those asked for is one that serves already, or an added one, which takes the surge's part: all wait
 * until it is in step. */
static void ask_serving(struct surge *s, const struct surge_asked *a)
{
    if (a->replicas > s->replicas)
        enter(s, SURGE_IN_PLACE, SURGE_IN_STEP);
    s->target = a->bytes;
    s->replicas = a->replicas;
}

static void ask_running(struct surge *s, const struct surge_asked *a, int64_t wall_ms)
{
    bool other = a->bytes != s->target || a->replicas != s->replicas;
    bool back =
        a->bytes == s->settled && (s->phase == SURGE_COMING || s->phase == SURGE_ADMITTED || s->phase == SURGE_REFUSED);
    bool again =
        s->phase == SURGE_REFUSED && (other || wall_ms < s->begun_ms || wall_ms - s->begun_ms >= SURGE_RETRY_MS);
    if (back)
        settle(s, a->bytes);
    else if ((s->phase == SURGE_NONE && a->bytes != s->settled) || (s->phase == SURGE_COMING && other) || again)
        begin(s, a, wall_ms);
    else if (s->phase == SURGE_ADMITTED || s->phase == SURGE_REPLACING)
        ask_serving(s, a);
    else if (s->phase == SURGE_IN_PLACE)
        s->target = a->bytes;
}

static bool same_kept(const struct surge *x, const struct surge *y)
{
    return x->phase == y->phase && x->settled == y->settled && x->target == y->target && x->replicas == y->replicas &&
           x->begun_ms == y->begun_ms && x->fresh == y->fresh && x->why == y->why;
}

bool surge_ask(struct surge *s, const struct surge_asked *a, int64_t wall_ms)
{
    struct surge before = *s;
    if (!s->settled || !a->several)
        settle(s, a->bytes);
    else if (!a->runs)
        ask_resting(s, a);
    else
        ask_running(s, a, wall_ms);
    return !same_kept(s, &before);
}

/* ---- what is seen ---- */

static void see_coming(struct surge *s, int64_t wall_ms, int64_t now_ms)
{
    int64_t waited = now_ms - s->since_ms;
    bool says = s->is != SURGE_DOWN && s->is != SURGE_MUTE;
    if (s->is == SURGE_IN_STEP && s->fresh)
        enter(s, SURGE_ADMITTED, SURGE_IN_STEP);
    else if (says && !s->fresh)
        enter(s, SURGE_IN_PLACE, SURGE_OLD_DISK);
    else if ((s->is == SURGE_MUTE && waited >= SURGE_MUTE_MS) || (s->is == SURGE_LACKS && waited >= SURGE_LACKS_MS))
        enter(s, SURGE_IN_PLACE, s->is);
    else if (s->is == SURGE_DOWN && waited >= SURGE_DOWN_MS)
        enter(s, s->target > s->settled ? SURGE_REFUSED : SURGE_IN_PLACE, SURGE_DOWN);
    else if (wall_ms - s->begun_ms >= SURGE_MAX_MS)
        enter(s, SURGE_IN_PLACE, SURGE_SLOW);
    if (s->phase == SURGE_REFUSED)
        s->begun_ms = wall_ms; /* it is tried again so long after that */
}

static void see_serving(struct surge *s, const struct surge_seen *e, int64_t now_ms)
{
    if (!s->admitted_at_ms)
        s->admitted_at_ms = now_ms;
    if (s->is == SURGE_DOWN && now_ms - s->since_ms >= SURGE_DOWN_MS)
        enter(s, SURGE_IN_PLACE, SURGE_DOWN);
    else if (s->phase == SURGE_ADMITTED && (e->leads || now_ms - s->admitted_at_ms >= SURGE_LEADS_MS))
        enter(s, SURGE_REPLACING, SURGE_IN_STEP);
    else if (s->phase == SURGE_REPLACING && e->whole)
        settle(s, s->target);
}

bool surge_see(struct surge *s, const struct surge_seen *e, int64_t wall_ms, int64_t now_ms)
{
    struct surge before = *s;
    if (!s->since_ms || e->is != s->is)
        s->since_ms = MAX(now_ms, 1);
    s->is = e->is;
    s->fresh |= s->phase == SURGE_COMING && e->empty;
    if (s->phase == SURGE_COMING)
        see_coming(s, wall_ms, now_ms);
    else if (s->phase == SURGE_ADMITTED || s->phase == SURGE_REPLACING)
        see_serving(s, e, now_ms);
    else if (s->phase == SURGE_IN_PLACE && e->whole)
        settle(s, s->target);
    return !same_kept(s, &before);
}

enum surge_is surge_judge(const struct replica_view *v, int k, bool *ret_empty)
{
    const struct replica_said *said = &v->said[k];
    bool same = true, known = said->known;
    *ret_empty = said->known && said->tables == 0;
    for (int i = 0; i < k; i++) {
        known = known && v->said[i].known && *v->objects[i];
        same = same && said->tables == v->said[i].tables && !strcmp(v->objects[i], v->objects[k]);
    }
    if (!known || !*v->objects[k])
        return SURGE_MUTE;
    if (!same)
        return SURGE_LACKS;
    return replica_judge(v->said, BLUEPRINT_MAX_REPLICAS, (size_t)k) == REPLICA_SYNCED ? SURGE_IN_STEP : SURGE_LAGS;
}

/* ---- what follows ---- */

void surge_mark(const struct surge *s, struct desired_service *service)
{
    bool before =
        s->phase == SURGE_COMING || s->phase == SURGE_ADMITTED || s->phase == SURGE_REFUSED || s->phase == SURGE_NONE;
    service->held_bytes = before && s->settled != service->memory_bytes ? s->settled : 0;
    service->surge_fresh = s->fresh;
    service->surge = s->phase == SURGE_COMING                                    ? DESIRED_SURGE_COMING
                     : s->phase == SURGE_ADMITTED || s->phase == SURGE_REPLACING ? DESIRED_SURGE_SERVES
                                                                                 : DESIRED_SURGE_NONE;
}

static const char *reason(enum surge_is why)
{
    switch (why) {
    case SURGE_NO_ROOM:
        return "as many replicas as there can be were asked for, so that there is no place for one more";
    case SURGE_MUTE:
        return "one more was not taken into use, since not every replica says which tables it has";
    case SURGE_LACKS:
        return "one more did not get the tables, views and dictionaries that the others have: only those of Replicated "
               "databases come by themselves";
    case SURGE_OLD_DISK:
        return "one more would have come onto the disk that an earlier replica of its number left; with that disk "
               "removed the next change of size is made by one more";
    case SURGE_DOWN:
        return "one more replica did not come up, or was lost, for 15 minutes";
    case SURGE_SLOW:
        return "one more replica did not come into step within a day";
    default:
        return "added replicas take the part of one more";
    }
}

void surge_sentence(const struct surge *s, const char *error, struct buf *out)
{
    switch (s->phase) {
    case SURGE_NONE:
        return;
    case SURGE_COMING:
        buf_printf(out,
                   "It becomes another size: one more replica, of that size, is made before any other is restarted%s",
                   s->is == SURGE_LAGS || s->is == SURGE_LACKS ? "; it is not in step with the others yet." : ".");
        break;
    case SURGE_ADMITTED:
    case SURGE_REPLACING:
        buf_adds(out,
                 "It becomes another size: its replicas are replaced one after the other, one more serves meanwhile.");
        break;
    case SURGE_IN_PLACE:
        buf_printf(out, "It becomes another size: its replicas are restarted one after the other; %s.", reason(s->why));
        break;
    case SURGE_REFUSED:
        buf_adds(out, "It goes on at the size that it has: a replica of the size asked for did not come up within 15 "
                      "minutes; there may be no room for it. It is tried again within an hour, or when another size is "
                      "asked for.");
        return;
    }
    if (error && *error)
        buf_printf(out, " That replica: %s", error);
}
