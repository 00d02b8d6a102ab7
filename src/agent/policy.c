/* Reads the policy that holds now. */
#include "agent/policy.h"

#include "agent/link/bundle.h"
#include "base/fs.h"

#include <sys/stat.h>

static int from_bundle(const char *text, struct policy **ret, struct err *err)
{
    unsigned char keys[BUNDLE_MAX_APPROVERS][ED25519_PUBLIC_SIZE];
    autojson json_t *o = NULL;
    json_t *list = NULL, *policy = NULL;
    size_t n = 0;
    int r = js_parse(text, strlen(text), BUNDLE_MAX_BYTES, &o, err);
    if (r == 0)
        r = js_array(o, "", "approverKeys", BUNDLE_MAX_APPROVERS, &list, err);
    if (r == 0)
        r = js_object(o, "", "policy", &policy, err);
    for (size_t i = 0; r == 0 && i < json_array_size(list); i++) {
        const char *key = json_string_value(json_array_get(list, i));
        r = key ? hex_decode(key, keys[n++], ED25519_PUBLIC_SIZE) : -EINVAL;
    }
    return r < 0 ? err_wrap(err, r, "the enrolment bundle") : policy_from_bundle(policy, keys, n, ret, err);
}

int policy_now(const struct agent_config *c, const char *bundle, struct policy **ret, struct err *err)
{
    autofree char *path = agent_path(c, "policy/policy.json"), *text = NULL;
    autopolicy struct policy *p = NULL;
    struct stat st;
    size_t len = 0;
    int r = fs_read(path, POLICY_MAX_BYTES, &text, &len, err);
    if (r == -ENOENT)
        return from_bundle(bundle, ret, err);
    if (r < 0)
        return r;
    if (stat(path, &st) < 0 || st.st_mode & 022 || (st.st_uid != geteuid() && st.st_uid != 0))
        return err_set(err, -EPERM, "%s: others than the agent's user may write it", path);
    r = policy_parse(text, len, &p, err);
    if (r < 0)
        return err_wrap(err, r, "%s", path);
    if (p->version <= 1)
        return err_set(err, -ESTALE, "%s: version must be above 1, which is the bundle's", path);
    *ret = TAKE_PTR(p);
    return 0;
}
