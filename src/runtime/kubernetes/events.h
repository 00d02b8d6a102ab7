/* Events: what `kubectl describe` shows beside the objects, so that a person who looks at the cluster reads what the
 * operator does and why. Decisions only: times are handed in, requests are made by recorder.c.
 *
 * The rules are those of client-go's recorder in events.k8s.io/v1: what is said again about the same object within
 * KUBE_EVENTS_SERIES_MS becomes a series (a count) of the event that is there. Bounds:
 * - one object is given at most KUBE_EVENTS_BURST new events, and then one each KUBE_EVENTS_REFILL_MS;
 * - a series is written when it is said: its first repetition at once, a later one if KUBE_EVENTS_REFRESH_MS have
 * passed since the last write. What was said between is told with the next one that is written, or not at all: a count
 * is "at least", and nothing is written after the work for the sake of counts alone;
 * - KUBE_EVENTS_MAX are remembered; the one that was longest silent makes room.
 * What cannot be written is given up: events are for people, nothing depends on them. */
#pragma once

#include "base/util.h"

#define KUBE_EVENTS_SERIES_MS 360000
#define KUBE_EVENTS_REFRESH_MS 60000
#define KUBE_EVENTS_BURST 10
#define KUBE_EVENTS_REFILL_MS 60000
#define KUBE_EVENTS_MAX 512
#define KUBE_EVENTS_GIVE_UP_MS 60000 /* an object that does not appear: nobody could look at it */
#define KUBE_EVENT_NOTE_MAX 1000     /* bytes; the API takes 1,024 */

struct kube_event {
    char *about; /* name of a workload */
    char *reason, *note;
    bool warning;
    int64_t first_ms, last_ms; /* monotonic: first said, last said */
    int64_t first_wall_ms, last_wall_ms;
    int count;
    char name[160]; /* of the object, "" = not made yet */
    int written;    /* count that the API server has */
    int64_t written_ms;
    bool due;  /* has to be written */
    bool busy; /* a request is under way */
};

struct kube_events;
struct kube_events *kube_events_new(void);
void kube_events_free(struct kube_events *l);

/* Something is to be said. Over the bounds it is not kept. */
void kube_events_say(struct kube_events *l, const char *about, bool warning, const char *reason, const char *note,
                     int64_t now_ms, int64_t wall_ms);
/* The next that has to be written, NULL if none now. Borrowed until the next say. `there(about)`: the object stands;
 * others wait for it, and are given up. */
struct kube_event *kube_events_next(struct kube_events *l, int64_t now_ms, bool (*there)(const char *about, void *data),
                                    void *data);
/* How the write of `about` and `reason` went, begun with the count `written`: gone: the object is not there any more,
 * it is made anew when it is said again. */
void kube_events_done(struct kube_events *l, const char *name, int written, bool ok, int64_t now_ms);
size_t kube_events_count(const struct kube_events *l);
