/* Placements: the files by which a supervisor is told what to run, and by which it says what runs.
 *
 * A supervised folder DIR (absolute path, mode 0700) holds
 *   id                the folder's own name, a UUID made once; marks every process started for it (OWNHOUSE_PLACE)
 *   lock              held by the one supervisor that serves the folder
 *   want/NAME.json    a placement: what should run. Written by whoever asks, durable (fsync) and atomic
 *   have/NAME.json    a status: what does run. Written by the supervisor only, atomic
 *   kept/NAME.json    the last placement of a removed workload whose data was kept (the data are found again by it)
 *   work/NAME/        files/ run/ logs/ volumes/VOLUME/ of the workload, its working directory
 * All files have mode 0600: placements hold secret files' contents.
 *
 * Desired state is on disk and read as a whole: whoever writes may die at any point, and a supervisor that was dead
 * meanwhile sees the same as one that was not. To change a workload, write its placement again; to stop it, write it
 * with workload.stopped; to remove it, placement_remove(). All functions block on local file I/O only. */
#pragma once

#include "blueprint/workload.h"

#include <sys/types.h>

#define PLACEMENT_MAX_BYTES (WORKLOAD_MAX_BYTES + KIB(64))
#define PLACEMENT_MAX_WORKLOADS 16384 /* in one folder */

enum placement_remove {
    PLACEMENT_KEEP,   /* run it, or keep it stopped */
    PLACEMENT_REMOVE, /* stop and forget; volumes marked keep, and buckets, stay */
    PLACEMENT_PURGE,  /* stop and delete everything, volumes and buckets' folders too */
};

struct placement {
    struct workload workload;   /* every ${...} already expanded: texts are taken as they are */
    const char *executable;     /* absolute path of what is run; argv[0] is its last part */
    char digest[65];            /* of the workload as the operator has it (before expansion); returned in the status */
    const char *infrastructure; /* OWNHOUSE_INFRASTRUCTURE in the environment; "" = none */
    const char *netns;          /* network namespace (a path) to enter before the program starts; NULL = stay */
    const char *address;        /* numeric, where the probe goes (in that namespace); NULL = 127.0.0.1 */
    const char **folders;       /* beside workload.volumes: absolute folder of a bucket volume, NULL = below work/;
                                   NULL as a whole: no bucket volume */
    int64_t log_bytes;          /* a log file is rotated beyond this; 0 = 16 MiB */
    int log_files;              /* rotated files kept beside the current one, 1..100; 0 = 3 */
    enum placement_remove remove;
};

enum placement_state {
    PLACEMENT_STARTING, /* runs or is about to, not yet ready */
    PLACEMENT_RUNNING,
    PLACEMENT_UNREADY,
    PLACEMENT_STOPPING,
    PLACEMENT_STOPPED,
    PLACEMENT_FAILED,
    PLACEMENT_STATE_COUNT
};
extern const char *const placement_state_names[PLACEMENT_STATE_COUNT]; /* "starting" ... as in runtime_state_names */

struct placement_status {
    char name[WORKLOAD_NAME_MAX + 1];
    enum placement_state state;
    char digest[65];  /* placement.digest now in effect, "" = none */
    char error[256];  /* "" or one sentence */
    int restarts;     /* unasked starts since the workload was placed */
    char address[46]; /* placement.address, "" = none */
    int64_t since_ms; /* wall time of the last change of state */
    /* The process, for the next supervisor; pid 0 = none. */
    pid_t pid;
    unsigned long long start_ticks;
    char boot[37];  /* boot id of the machine: start_ticks mean nothing under another */
    char start[33]; /* this start's own number, also in the process's environment (OWNHOUSE_START) */
    /* What the process was started with and reloaded to: which change needs what (supervise.h). */
    char core[65], reload[65], rest[65];
    struct workload_env *labels; /* in the arena given to placement_status_read() */
    size_t n_labels;
};

/* Makes the folder with its parts where missing. Idempotent, safe beside another caller. */
OH_MUST_CHECK int placement_prepare(const char *dir, struct err *err);

/* JSON form (new reference; NULL if a text is not UTF-8), and back: strict, unknown fields are refused; strings are
 * copied into the arena. -EMSGSIZE over PLACEMENT_MAX_BYTES, else -EINVAL naming the field. */
json_t *placement_to_json(const struct placement *p);
OH_MUST_CHECK int placement_parse(const char *text, size_t len, struct arena *arena, struct placement *ret,
                                  struct err *err);

/* Writes want/NAME.json; the folder must be prepared. A placement equal to what is there is not written again. */
OH_MUST_CHECK int placement_write(const char *dir, const struct placement *p, struct err *err);
/* Asks for removal. Fine for a name that is not there; delete_data also reaches what an earlier removal kept. */
OH_MUST_CHECK int placement_remove(const char *dir, const char *name, bool delete_data, struct err *err);
/* -ENOENT (no message) if there is none. */
OH_MUST_CHECK int placement_read(const char *dir, const char *name, struct arena *arena, struct placement *ret,
                                 struct err *err);

/* have/NAME.json. Reading: -ENOENT (no message) if there is none; the arena is for labels. Unknown fields are passed
 * over: an agent of another version may have written it, and its processes are not to be lost for that. */
OH_MUST_CHECK int placement_status_read(const char *dir, const char *name, struct arena *arena,
                                        struct placement_status *ret, struct err *err);
OH_MUST_CHECK int placement_status_parse(const char *text, size_t len, struct arena *arena,
                                         struct placement_status *ret, struct err *err);
/* For the supervisor. Atomic against a killed writer; a power cut may lose it, which is the same as a reboot. */
OH_MUST_CHECK int placement_status_write(const char *dir, const struct placement_status *s, struct err *err);

/* Names in want/, have/ or kept/ (`part`), sorted; both the array and its strings are in the arena. */
OH_MUST_CHECK int placement_names(const char *dir, const char *part, struct arena *arena, const char ***ret,
                                  size_t *ret_n, struct err *err);

/* True for a DNS label of at most WORKLOAD_NAME_MAX bytes. */
bool placement_name_valid(const char *name);
/* True for an absolute path without empty, "." and ".." parts and with at least `depth` parts. */
bool placement_path_valid(const char *path, int depth);

/* Nothing runs any more and nothing is wanted (all have/ gone or without a pid, want/ empty or stopped): what one
 * waits for after asking for removal. */
OH_MUST_CHECK int placement_idle(const char *dir, bool *ret, struct err *err);
