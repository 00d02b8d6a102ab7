/* What every runtime shares: names of states, the digest of a workload, lists of statuses. */
#include "runtime/runtime.h"

const char *const runtime_state_names[] = {"starting", "running", "unready", "stopping", "stopped", "failed"};

void runtime_status_list_free(struct runtime_status_list *l)
{
    arena_free(l->arena); /* items lie in it too */
    *l = (struct runtime_status_list){0};
}

int runtime_digest(const struct workload *w, char ret[65], struct err *err)
{
    autojson json_t *v = workload_to_json(w);
    if (!v)
        return err_set(err, -EINVAL, "workload %s holds text that is not UTF-8", w->name ? w->name : "(no name)");
    return js_digest(v, ret, err);
}
