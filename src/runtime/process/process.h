/* The process runtime: workloads as supervised processes of this machine.
 *
 * Writes and reads a supervised folder (blueprint/placement.h); a supervisor serves the folder, in a process of its
 * own. References are filled in here, so that placements say everything:
 *   ${address}       loopback_base + slot, so that every workload may use the same ports
 *   ${volume:NAME}   a folder below the workload's own, or, for a volume of a bucket, bucket_dir/BUCKET/WORKLOAD/NAME:
 *                    a bucket is shared, a workload's part of it is not
 *   ${param:NAME}    from the table given
 * Not enforced by this runtime: sizes of volumes, memory and cpu limits (engines keep their own; `status` says so). */
#pragma once

#include "runtime/runtime.h"

struct runtime_program {
    const char *name;    /* as in workload.program */
    const char *path;    /* absolute; NULL or "" = searched in the usual folders under `file` */
    const char *file;    /* file name to search for; NULL = name */
    const char *package; /* what to do when it is missing, e.g. "install the package haproxy" */
};

struct runtime_process_config {
    const char *dir;            /* the supervised folder; made if missing */
    const char *infrastructure; /* marks every process; "" = none */
    const char *netns;          /* NULL: the supervisor's own */
    const char *loopback_base;  /* 127.X.0.0 */
    const char *bucket_dir;     /* absolute; NULL or "": volumes of buckets are plain volumes */
    const struct runtime_program *programs;
    size_t n_programs;
    const struct workload_env *params;
    size_t n_params;
    int64_t log_bytes; /* 0 = the placement's default */
    int log_files;
};

/* Texts are copied. apply(): -EINVAL names the workload and the reference that is not known; a program that is not
 * installed is no error of the call: observe() then shows the workload as failed with a sentence that says what to
 * install, until an apply() finds it. */
OH_MUST_CHECK int runtime_process_new(const struct runtime_process_config *config, struct runtime **ret,
                                      struct err *err);
