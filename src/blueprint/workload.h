/* A workload: one thing to run, said once for every runtime.
 *
 * The blueprint makes workloads; a runtime makes them so (Kubernetes objects, or supervised processes). A workload is
 * pure data: the same input gives the same workload, byte for byte in its JSON form, and a runtime acts only on a
 * difference.
 *
 * Texts of arguments, environment and files may hold references that the runtime fills in:
 *   ${files}             folder of this workload's files       ${run}   folder for sockets and pid files (not kept)
 *   ${volume:NAME}       mount point of a volume               ${logs}  folder for log files (rotated by the runtime)
 *   ${address}           address to listen on                  ${address:WORKLOAD}  where to reach another workload
 *   ${ready:WORKLOAD}    the same, for who sends customers there: an address, or a name that leads nowhere while the
 *                        workload is starting or on its way out
 *   ${param:NAME}        a value the runtime was configured with (engine library, public address ...); unknown: an
 *                        error
 * A literal "${" is written "$${".
 *
 * A program starts in the folder that holds ${run} under the name "run", so that a Unix socket can be named run/X where
 * the full path might be over the 107 bytes of sun_path. */
#pragma once

#include "base/js.h"
#include "base/mem.h"

#define WORKLOAD_NAME_MAX 63       /* a DNS label: [a-z0-9]([-a-z0-9]*[a-z0-9])? */
#define WORKLOAD_MAX_BYTES MIB(16) /* an ingress of DESIRED_MAX_SERVICES with long access lists */

enum workload_on_change { WORKLOAD_RESTART, WORKLOAD_RELOAD, WORKLOAD_IGNORE };

struct workload_file {
    const char *path; /* relative, no "..", below ${files} */
    const char *content;
    enum workload_on_change on_change;
    bool secret; /* mode 0600 (else 0644) / Secret instead of ConfigMap; never shown by `render` or `status` */
};

struct workload_volume {
    const char *name;
    int64_t bytes;      /* requested size, 0 = no limit */
    bool keep;          /* survives removal unless data deletion was asked for */
    const char *bucket; /* not NULL: not a disk but this bucket's folder (laptop) or prefix (cloud) */
};

struct workload_port {
    const char *name;
    int port;
};

/* An HTTP GET on ${address}:port that must answer 200, or a TCP connect when path is NULL. */
struct workload_probe {
    int port; /* 0 = no probe: running means started */
    const char *path;
    int period_ms, timeout_ms, failures; /* consecutive failures that make it unready */
    int startup_ms;                      /* time allowed until the first success */
};

struct workload_env {
    const char *name, *value;
};

#define WORKLOAD_STOP_GRACE_MS 10000

struct workload {
    const char *name;
    struct workload_env *labels; /* e.g. service=<uuid>, role=clickhouse, replica=0 */
    size_t n_labels;
    const char *image;   /* Kubernetes: image reference with digest */
    const char *program; /* processes: a name from the runtime's program table, never a path */
    const char **arguments;
    size_t n_arguments;
    struct workload_env *environment;
    size_t n_environment;
    struct workload_file
        *files; /* put in place in this order, each whole or not at all; then what is not wanted goes */
    size_t n_files;
    struct workload_volume *volumes;
    size_t n_volumes;
    struct workload_port *ports;
    size_t n_ports;
    struct workload_probe probe;
    int64_t memory_bytes; /* 0 = no limit */
    int cpu_millis;       /* 0 = no limit */
    int open_files;       /* 0 = default */
    int reload_signal;    /* 0 = a changed RELOAD file needs a restart */
    int stop_signal;      /* default SIGTERM */
    int stop_grace_ms;
    int order; /* lower starts first; stops last */
    int slot;  /* unique number in the data plane, 1..65534: the process runtime derives the loopback address from it */
    bool stopped; /* keep volumes and files, run nothing */
};

struct workload_list {
    struct arena *arena; /* owns everything below */
    struct workload *items;
    size_t n, cap;
};

void workload_list_init(struct workload_list *l);
void workload_list_free(struct workload_list *l);
/* A zeroed workload at the end of the list; pointers to earlier items may move. Defaults: SIGTERM, 10 s grace. */
struct workload *workload_list_add(struct workload_list *l);
#define autoworkloads OH_CLEANUP(workload_list_free)

/* JSON form, complete and lossless (new reference), and back (strict; strings are copied into the arena). Fields at
 * their default are left out, so that a field added later changes no digest of a workload that does not use it. NULL
 * only if a text is not UTF-8. */
json_t *workload_to_json(const struct workload *w);
OH_MUST_CHECK int workload_from_json(const json_t *v, struct arena *arena, struct workload *ret, struct err *err);

const char *workload_label(const struct workload *w, const char *name); /* NULL if absent */
/* A file's path as it must be: relative, plain components, no "." or "..", at most 200 bytes. */
bool workload_path_valid(const char *path);

/* Appends `text` to out with each ${...} replaced by what `lookup` returns for the inside ("files", "address:ingress");
 * lookup returns NULL for unknown: -EINVAL naming it. */
typedef const char *(*workload_lookup)(const char *name, void *data);
OH_MUST_CHECK int workload_expand(const char *text, workload_lookup lookup, void *data, struct buf *out,
                                  struct err *err);
/* Appends `text` so that workload_expand() gives it back unchanged: for texts that come from people. */
void workload_escape(const char *text, struct buf *out);
