/* The desired document: what the services of one infrastructure should be (api/link.md).
 *
 * Built by the controller, verified and parsed by the agent, read by the blueprint. */
#pragma once

#include "base/js.h"
#include "base/keys.h"
#include "base/mem.h"
#include "blueprint/settings.h"

#define DESIRED_MAX_BYTES MIB(3)
#define DESIRED_MAX_SERVICES 4095
#define DESIRED_MAX_NETWORKS 1000 /* in the access list of a service */
#define DESIRED_MAX_QUERY_KEYS 256
#define DESIRED_MAX_ORIGINS 256
#define DESIRED_ORIGIN_MAX 300 /* bytes */

enum desired_state { DESIRED_RUNNING, DESIRED_STOPPED, DESIRED_DELETED };

/* One replica more than was asked for, while the service becomes another size (agent/operator/surge.h). */
enum desired_surge {
    DESIRED_SURGE_NONE,
    DESIRED_SURGE_COMING, /* it is made: nobody is sent to it, and the others do not know it */
    DESIRED_SURGE_SERVES, /* it is one of them */
};

struct desired_user {
    const char *name;
    const char *sha256;      /* 64 lower-case hex digits */
    const char *double_sha1; /* 40 lower-case hex digits, or NULL */
};

struct desired_setting {
    const struct setting *setting;
    const char *value; /* checked */
};

/* An API key that may send queries by HTTP (docs/api.md, query endpoints): hashes only. */
struct desired_query_key {
    const char *id;        /* of the key in the control plane: the name under which its queries run */
    const char *id_sha256; /* of the key id and of the secret, 64 lower-case hex digits each */
    const char *sha256;
    int64_t expires_ms; /* since 1970; 0 = never */
    const char **networks;
    size_t n_networks;
};

struct desired_query_endpoint {
    bool readonly;        /* may only read */
    const char **origins; /* of pages that may: "*", or [scheme://]host[:port], the host with "*." before it or not */
    size_t n_origins;
    struct desired_query_key *keys;
    size_t n_keys;
};

/* When a new version may be taken up: so many hours from an hour of the week, UTC. */
struct desired_window {
    int weekday; /* 0 = Sunday */
    int start_hour, hours;
};

/* When backups are made; what is not said is as DESIRED_BACKUP_*. */
struct desired_backup {
    int period_hours, retention_hours;
    int start_minute; /* of the day, UTC: then once a day; -1 = by the period */
};
#define DESIRED_BACKUP_PERIOD_HOURS 24
#define DESIRED_BACKUP_RETENTION_HOURS 24
#define DESIRED_BACKUP_HOURS_MAX 1080
#define DESIRED_IDLE_MINUTES_MAX 525600
#define DESIRED_MAX_REPLICAS 20
#define DESIRED_MAX_MEMORY_GB 4096
#define DESIRED_MAX_ENTRIES 100 /* of a schedule */

/* What a service's schedule may change by the hour. */
struct desired_scale {
    int replicas;
    int64_t memory_bytes;
    int idle_minutes;
    struct desired_setting *settings;
    size_t n_settings;
};

/* An entry of a schedule (blueprint/schedule.h). */
struct desired_entry {
    unsigned weekdays; /* bit n for day n, 0 = Sunday */
    int start_hour, end_hour;
    struct desired_scale scale; /* whole: settings are joined with the service's own */
};

struct desired_service {
    const char *id, *name, *slug;
    int ordinal; /* 1..4095 */
    enum desired_state state;
    bool delete_data;
    /* These, idle_minutes and settings: what holds now, see schedule_apply(); the document's own until it is called. */
    int replicas;
    int64_t memory_bytes;
    struct desired_user *users;
    size_t n_users;
    const char **ip_access_list; /* CIDR or address, validated */
    size_t n_ip_access_list;
    struct desired_setting *settings; /* in the order of settings.h */
    size_t n_settings;
    struct desired_query_endpoint *query_endpoint; /* NULL: none */
    struct desired_window *window;                 /* NULL: at any time */
    struct desired_backup backup;
    int idle_minutes;       /* it sleeps after so long without a query; 0: never */
    int64_t awake_asked_ms; /* somebody asked it to wake at that time; 0: nobody */
    bool asleep;            /* not of the document: the operator's own, its engines are stopped until they are needed */
    bool rising;            /* nor this: it slept and may no more, and is held for until its engines serve */
    unsigned drained;       /* not of the document either: bit k for a replica that gets nothing new to do */
    bool joined;            /* nor this: it had several replicas, and its tables are registered in its Keeper */
    enum desired_surge
        surge; /* nor these: it has the size asked for, and those asked for have `held_bytes`, unless 0 */
    int64_t held_bytes;
    bool surge_fresh;         /* it is known, and kept, that it began with an empty disk: it may be given databases */
    struct desired_scale own; /* outside of the schedule */
    struct desired_entry *schedule;
    size_t n_schedule;
    const char *backup_asked;                     /* a backup of this id is to exist; NULL = none asked for */
    const char *restore_backup, *restore_service; /* it begins with what that backup of that service has; or NULL */
};

struct desired {
    const char *infrastructure, *issued_at, *domain;
    int64_t version;
    struct desired_service *services;
    size_t n_services;
};

/* Parses and checks a document (canonical text or not). All memory lives in one object: desired_free(). -EINVAL names
 * the field and its place (`services[3].slug: ...`); -EMSGSIZE over DESIRED_MAX_BYTES. Unknown fields are refused: what
 * is signed must be understood. Slugs, ordinals and ids must be unique. */
OH_MUST_CHECK int desired_parse(const char *text, size_t len, struct desired **ret, struct err *err);
void desired_free(struct desired *d); /* NULL is fine */

/* The `settings` of a service or of an entry of its schedule, at `place`; memory is the arena's. */
OH_MUST_CHECK int desired_settings_parse(const json_t *o, const char *place, struct arena *a,
                                         struct desired_setting **ret, size_t *ret_n, struct err *err);
/* The `queryEndpoint` of a service, at `place`; desired_parse() calls it. Memory is the arena's. */
OH_MUST_CHECK int desired_query_parse(const json_t *o, const char *place, struct arena *a,
                                      struct desired_query_endpoint **ret, struct err *err);

/* The text that is signed for a document's bytes. */
void desired_statement(const char *infrastructure, int64_t version, const char *document, size_t len, struct buf *out);
/* The same from the SHA-256 of the document's bytes, 64 lower-case hex digits: the signer never sees the document. */
void desired_statement_of_digest(const char *infrastructure, int64_t version, const char *digest, struct buf *out);
/* True only if signature_hex (128 hex digits) is the key's over that statement. */
OH_MUST_CHECK bool desired_signature_valid(const unsigned char key[ED25519_PUBLIC_SIZE], const char *infrastructure,
                                           int64_t version, const char *document, size_t len,
                                           const char *signature_hex);

static inline void desired_freep(struct desired **d)
{
    desired_free(*d);
}
#define autodesired OH_CLEANUP(desired_freep)
