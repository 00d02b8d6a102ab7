/* runtime/kubernetes/release: the state in the annotations, what is tried, the guard's Job and its verdict. */
#include "../test.h"

#include "base/mem.h"
#include "runtime/kubernetes/release.h"

#define OLD "r/agent@sha256:aa"
#define NEW "r/agent@sha256:bb"

static json_t *a_set(const char *image, const char *state)
{
    json_t *v =
        json_pack("{s{ss ss ss s{}} s{s{s{s{sb} s[{ss}] s[{ss ss s{sb}}]}}}}", "metadata", "name", "ownhouse-agent",
                  "uid", "u-1", "resourceVersion", "7", "annotations", "spec", "template", "spec", "securityContext",
                  "runAsNonRoot", 1, "imagePullSecrets", "name", "pull", "containers", "name", "agent", "image", image,
                  "securityContext", "readOnlyRootFilesystem", 1);
    assert_non_null(v);
    if (state)
        json_object_set_new(json_object_get(json_object_get(v, "metadata"), "annotations"), "ownhouse/release",
                            json_string(state));
    return v;
}

static struct kube_release read_ok(const json_t *set)
{
    struct kube_release r;
    struct err err = ERR_INIT;
    if (kube_release_read(set, &r, &err) < 0)
        fail_msg("%s", err.message);
    return r;
}

static struct kube_release a_trial(enum kube_release_state state)
{
    struct kube_release r = {
        .version = "7", .uid = "u-1", .trial = "0123456789abcdef", .image = NEW, .before = OLD, .list = "l"};
    snprintf(r.current, sizeof(r.current), "%s", state == KUBE_RELEASE_TRYING ? NEW : OLD);
    kube_release_turn(&r, state, "", 0);
    return r;
}

static void what_is_written_is_read_again(void **state OH_UNUSED)
{
    struct kube_release r = a_trial(KUBE_RELEASE_ROLLED_BACK);
    r.until_ms = 12345;
    kube_release_turn(&r, KUBE_RELEASE_ROLLED_BACK, "not up: \"quoted\"", 1000);
    autojson json_t *patch = kube_release_patch(&r, OLD);
    const json_t *metadata = json_object_get(patch, "metadata");
    assert_string_equal(js_text_at(metadata, "resourceVersion"), "7");
    autojson json_t *set = a_set(OLD, js_text_at(json_object_get(metadata, "annotations"), "ownhouse/release"));
    struct kube_release again = read_ok(set);
    assert_int_equal(again.state, KUBE_RELEASE_ROLLED_BACK);
    assert_string_equal(again.why, "not up: \"quoted\"");
    assert_string_equal(again.trial, r.trial);
    assert_string_equal(again.image, NEW);
    assert_string_equal(again.before, OLD);
    assert_string_equal(again.list, "l");
    assert_string_equal(again.at, "1970-01-01T00:00:01.000Z");
    assert_int_equal(again.until_ms, 12345);
    const json_t *containers = json_object_get(
        json_object_get(json_object_get(json_object_get(patch, "spec"), "template"), "spec"), "containers");
    assert_int_equal(json_array_size(containers), 1);
    assert_string_equal(js_text_at(json_array_get(containers, 0), "image"), OLD);
    autojson json_t *without = kube_release_patch(&r, NULL);
    assert_null(json_object_get(without, "spec"));
}

static void what_is_no_state_counts_as_none(void **state OH_UNUSED)
{
    static const char *const wrong[] = {"",
                                        "{",
                                        "[]",
                                        "{}",
                                        "{\"state\":\"dancing\",\"trial\":\"1\"}",
                                        "{\"state\":\"trying\"}",
                                        "{\"state\":\"trying\",\"trial\":\"0123456789abcdef0\"}",
                                        "{\"state\":4,\"trial\":\"1\"}"};
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        autojson json_t *set = a_set(OLD, wrong[i]);
        assert_int_equal(read_ok(set).state, KUBE_RELEASE_NONE);
    }
    struct kube_release r;
    struct err err = ERR_INIT;
    autojson json_t *set = a_set("", NULL), *nothing = json_object();
    assert_int_equal(kube_release_read(set, &r, &err), -EINVAL);
    assert_non_null(strstr(err.message, "container agent"));
    assert_int_equal(kube_release_read(nothing, &r, NULL), -EINVAL);
}

static void an_image_that_failed_waits_for_another_list(void **state OH_UNUSED)
{
    struct kube_release r = a_trial(KUBE_RELEASE_ROLLED_BACK);
    assert_false(kube_release_wanted(&r, NEW, "l", true));
    assert_true(kube_release_wanted(&r, NEW, "another", false));
    assert_true(kube_release_wanted(&r, "r/agent@sha256:cc", "l", false));
    assert_false(kube_release_wanted(&r, OLD, "another", false)); /* it runs */
    assert_false(kube_release_wanted(&r, "", "another", false));
    r = a_trial(KUBE_RELEASE_LEFT);
    assert_false(kube_release_wanted(&r, NEW, "l", true));
    r = a_trial(KUBE_RELEASE_REFUSED);
    assert_false(kube_release_wanted(&r, NEW, "l", false));
    assert_true(kube_release_wanted(&r, NEW, "l", true));
    r = a_trial(KUBE_RELEASE_PREPARING);
    assert_false(kube_release_wanted(&r, "r/agent@sha256:cc", "another", true)); /* one at a time */
    r = (struct kube_release){.current = OLD};
    assert_true(kube_release_wanted(&r, NEW, "l", false));
}

static void the_guard_is_as_the_agents_pod_and_has_no_volume(void **state OH_UNUSED)
{
    struct kube_release r = a_trial(KUBE_RELEASE_PREPARING);
    autojson json_t *set = a_set(OLD, NULL);
    autojson json_t *job = kube_release_guard_job(
        set, &r, &(struct kube_release_job){"ownhouse-agent", "ownhouse", "ownhouse-guard", 600});
    assert_non_null(job);
    const json_t *metadata = json_object_get(job, "metadata"),
                 *owner = json_array_get(json_object_get(metadata, "ownerReferences"), 0),
                 *template = json_object_get(json_object_get(job, "spec"), "template"),
                 *pod = json_object_get(template, "spec"), *c = json_array_get(json_object_get(pod, "containers"), 0);
    assert_string_equal(js_text_at(metadata, "name"), "ownhouse-agent-guard-0123456789abcdef");
    assert_string_equal(js_text_at(owner, "uid"), "u-1");
    assert_string_equal(js_text_at(pod, "serviceAccountName"), "ownhouse-guard");
    assert_true(json_is_true(json_object_get(json_object_get(pod, "securityContext"), "runAsNonRoot")));
    assert_int_equal(json_array_size(json_object_get(pod, "imagePullSecrets")), 1);
    assert_null(json_object_get(pod, "volumes"));
    assert_string_equal(js_text_at(c, "image"), OLD);
    assert_true(json_is_true(json_object_get(json_object_get(c, "securityContext"), "readOnlyRootFilesystem")));
    /* It must not be taken for the agent's own pod by its selector. */
    const json_t *labels = json_object_get(json_object_get(template, "metadata"), "labels");
    assert_string_equal(js_text_at(labels, "app.kubernetes.io/name"), "ownhouse-agent-guard");
}

static json_t *a_pod(const char *image, const char *uid, const char *ready, int restarts, const char *waiting)
{
    json_t *v = json_pack("{s{ss} s{s[{ss ss}]} s{s[{ss ss}] s[{ss si s{}}]}}", "metadata", "uid", uid, "spec",
                          "containers", "name", "agent", "image", image, "status", "conditions", "type", "Ready",
                          "status", ready, "containerStatuses", "name", "agent", "restartCount", restarts, "state");
    assert_non_null(v);
    if (waiting) {
        json_t *c = json_array_get(json_object_get(json_object_get(v, "status"), "containerStatuses"), 0);
        json_object_set_new(json_object_get(c, "state"), "waiting",
                            json_pack("{ss ss}", "reason", waiting, "message", "no such image"));
    }
    return v;
}

static void judge(const struct kube_release *r, json_t *pod, int64_t now, enum kube_release_verdict verdict,
                  const char *said)
{
    char why[400];
    autojson json_t *own = pod;
    enum kube_release_verdict v = kube_release_judge(r, own, now, 60, why, sizeof(why));
    if (v != verdict || !strstr(why, said))
        fail_msg("%d instead of %d: %s", (int)v, (int)verdict, why);
}

static void good_is_ready_linked_and_through_with_a_pass(void **state OH_UNUSED)
{
    struct kube_release r = a_trial(KUBE_RELEASE_TRYING);
    r.until_ms = 1000;
    judge(&r, NULL, 0, KUBE_RELEASE_WAIT, "has not made its pod");
    judge(&r, NULL, 1000, KUBE_RELEASE_BAD, "not up within 60 s: the cluster has not made its pod");
    judge(&r, a_pod(OLD, "p", "True", 9, NULL), 0, KUBE_RELEASE_WAIT, "has not made its pod");
    judge(&r, a_pod(NEW, "p", "False", 0, "ImagePullBackOff"), 1000, KUBE_RELEASE_BAD,
          "ImagePullBackOff no such image");
    judge(&r, a_pod(NEW, "p", "False", 0, NULL), 1000, KUBE_RELEASE_BAD, "the link is not up");
    judge(&r, a_pod(NEW, "p", "False", 3, NULL), 0, KUBE_RELEASE_BAD, "it ended 3 times");
    judge(&r, a_pod(NEW, "p", "True", 0, NULL), 0, KUBE_RELEASE_WAIT, "has made a pass");
    /* Another trial's word, or another pod's, is not this one's. */
    snprintf(r.health_trial, sizeof(r.health_trial), "fedcba9876543210");
    snprintf(r.health_pod, sizeof(r.health_pod), "p");
    judge(&r, a_pod(NEW, "p", "True", 0, NULL), 1000, KUBE_RELEASE_BAD, "has made a pass");
    snprintf(r.health_trial, sizeof(r.health_trial), "%s", r.trial);
    judge(&r, a_pod(NEW, "q", "True", 0, NULL), 1000, KUBE_RELEASE_BAD, "has made a pass");
    judge(&r, a_pod(NEW, "p", "False", 0, NULL), 1000, KUBE_RELEASE_BAD, "the link is not up");
    judge(&r, a_pod(NEW, "p", "True", 0, NULL), 1000, KUBE_RELEASE_GOOD, "");
    /* A bound that is not set yet is not over. */
    r.until_ms = 0;
    judge(&r, NULL, 1000, KUBE_RELEASE_WAIT, "");
    /* Whoever else set an image: it is theirs. */
    snprintf(r.current, sizeof(r.current), "other/image");
    judge(&r, a_pod(NEW, "p", "True", 0, NULL), 0, KUBE_RELEASE_OTHERS, "other/image");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read_again),
        cmocka_unit_test(what_is_no_state_counts_as_none),
        cmocka_unit_test(an_image_that_failed_waits_for_another_list),
        cmocka_unit_test(the_guard_is_as_the_agents_pod_and_has_no_volume),
        cmocka_unit_test(good_is_ready_linked_and_through_with_a_pass),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
