/* Decides how a service of several replicas becomes another size (memory) without ever having fewer replicas that serve
 * than were asked for. Pure: what is asked for and seen in, the next phase out; surges.h keeps it.
 *
 * One replica more (the surge) is made, of the new size, while those asked for stay as they are (COMING). When it has
 * all that they have, the ingress and the cluster's list take it up (ADMITTED); when the ingress does so, those asked
 * for are replaced by reconcile.h's rule, one at a time while all others serve and are in step (REPLACING). When all
 * are, the surge is wanted no more: it hands over and goes as every replica does (handover.h), and the new size is
 * settled.
 *
 * Nothing waits for ever:
 * - A surge that does not come up within SURGE_DOWN_MS: a larger size waits (REFUSED), the service goes on at the size
 * that it has, and it is tried again after SURGE_RETRY_MS, or at once when something else is asked for. A smaller size
 * needs no room and is taken up in place.
 * - In place (IN_PLACE) is: replicas are restarted one at a time, nobody stands in for them. So it is done where there
 * is no room for one replica more, where nobody can say what replicas have, where the surge does not get what the
 * others have (SURGE_LACKS_MS; it is only given Replicated databases, schema.h), where it finds the disk of an earlier
 * replica of its number (Replicated databases on it would not follow the others), and where it is lost halfway.
 *
 * A service that is seen for the first time is settled at the size asked for; so is one that does not run, and one of a
 * single replica: it starts with, or is restarted for, the new size. */
#pragma once

#include "agent/operator/replicas.h"
#include "base/buf.h"

#define SURGE_DOWN_MS 900000
#define SURGE_MUTE_MS 60000
#define SURGE_LACKS_MS 300000
#define SURGE_MAX_MS 86400000 /* it fetches rows: so long at most */
#define SURGE_LEADS_MS 30000  /* the ingress is waited for: so long at most */
#define SURGE_RETRY_MS 3600000

enum surge_phase { SURGE_NONE, SURGE_COMING, SURGE_ADMITTED, SURGE_REPLACING, SURGE_IN_PLACE, SURGE_REFUSED };
extern const char *const surge_phase_names[]; /* "none" ... */

/* How the surge is; the last three are reasons only. */
enum surge_is {
    SURGE_IN_STEP,
    SURGE_DOWN,     /* not there, not of the size asked for yet, or it does not answer */
    SURGE_MUTE,     /* it answers its probe, and it or another does not say what it has */
    SURGE_LACKS,    /* it has other tables than one of the others */
    SURGE_LAGS,     /* it fetches rows, or cannot write yet */
    SURGE_OLD_DISK, /* it began with tables that nobody gave it */
    SURGE_NO_ROOM,  /* as many replicas as there can be were asked for */
    SURGE_SLOW,     /* it did not come into step within SURGE_MAX_MS */
};

struct surge {
    /* kept */
    enum surge_phase phase;
    int64_t settled;   /* bytes: the size before; 0: not seen yet */
    int64_t target;    /* not NONE: the size asked for */
    int replicas;      /* asked for */
    int64_t begun_ms;  /* wall */
    bool fresh;        /* it began with an empty disk */
    enum surge_is why; /* IN_PLACE, REFUSED */
    /* not kept */
    enum surge_is is;
    int64_t since_ms;       /* monotonic; 0: nothing was seen yet */
    int64_t admitted_at_ms; /* the same */
};

struct surge_asked {
    int64_t bytes;
    int replicas; /* asked for, as many as there can be at most */
    bool runs;    /* it is to run, and does not sleep */
    bool several; /* it has several replicas and Keeper */
    bool can_ask; /* replicas are asked what they have */
};
/* Takes what is asked for, before anything is rendered by it. True: what is kept changed. */
bool surge_ask(struct surge *s, const struct surge_asked *a, int64_t wall_ms);

struct surge_seen {
    enum surge_is is;
    bool empty; /* it says that it has no table */
    bool leads; /* the ingress does as it was told, or there is none */
    bool whole; /* every replica is as it was rendered, serves, and is in step or was waited for long enough */
};
/* Takes what is seen of a service that runs, by what surge_ask() said last. True: what is kept changed. */
bool surge_see(struct surge *s, const struct surge_seen *e, int64_t wall_ms, int64_t now_ms);

/* What replica `k`, which answers, has in comparison with the replicas before it; *ret_empty as above. */
enum surge_is surge_judge(const struct replica_view *v, int k, bool *ret_empty);

/* Says in the document what to render. */
void surge_mark(const struct surge *s, struct desired_service *service);
/* One sentence on what goes on (appended), nothing when nothing does. `error`: what the platform says of the surge. */
void surge_sentence(const struct surge *s, const char *error, struct buf *out);
