/* The pure parts of the Kubernetes runtime: paths, YAML, kubeconfig, watch bytes, facts, leadership. */
#include "../test.h"

#include "runtime/kubernetes/access.h"
#include "runtime/kubernetes/facts.h"
#include "runtime/kubernetes/lease.h"
#include "runtime/kubernetes/stream.h"

static void test_paths_are_escaped(void **state OH_UNUSED)
{
    autobuf struct buf b = BUF_INIT;
    kube_path(KUBE_STATEFUL_SET, "a/b", "c d?e", &b);
    assert_string_equal(b.data, "/apis/apps/v1/namespaces/a%2Fb/statefulsets/c%20d%3Fe");
    buf_free(&b);
    kube_path(KUBE_NAMESPACE, "ignored", "n", &b);
    assert_string_equal(b.data, "/api/v1/namespaces/n");
    buf_free(&b);
    kube_path(KUBE_POD, NULL, NULL, &b);
    assert_string_equal(b.data, "/api/v1/pods");
    assert_int_equal(kube_kind_find("apps/v1", "Deployment"), KUBE_DEPLOYMENT);
    assert_int_equal(kube_kind_find("v1", "Deployment"), -1);
}

/* ---- kubeconfig ---- */

#define CONFIG                                                                                               \
    "apiVersion: v1\nkind: Config\ncurrent-context: here\ncontexts:\n- name: here\n  context: {cluster: c, " \
    "user: u, namespace: n}\nclusters:\n- name: c\n  cluster:\n    server: https://k.example:6443/\n"        \
    "    certificate-authority-data: Y2E=\n    tls-server-name: other\n    proxy-url: http://p:1\n"

static int parse(const char *text, struct kube_access *ret, struct err *err)
{
    return kube_access_parse(text, strlen(text), "/nonexistent", NULL, ret, err);
}

static void test_kubeconfig_is_read(void **state OH_UNUSED)
{
    struct kube_access a = {0};
    struct err err = ERR_INIT;
    assert_int_equal(parse(CONFIG "users:\n- name: u\n  user: {token: \"123\"}\n", &a, &err), 0);
    assert_string_equal(a.server, "https://k.example:6443");
    assert_string_equal(a.server_name, "other");
    assert_string_equal(a.proxy, "http://p:1");
    assert_string_equal(a.ca, "ca");
    assert_string_equal(a.namespace, "n");
    assert_string_equal(a.token, "123");
    kube_access_free(&a);
}

static void refused(const char *text, const char *what)
{
    struct kube_access a = {0};
    struct err err = ERR_INIT;
    assert_true(parse(text, &a, &err) < 0);
    if (!strstr(err.message, what))
        fail_msg("\"%s\" is not in: %s", what, err.message);
}

static void test_kubeconfig_says_what_is_wrong(void **state OH_UNUSED)
{
    refused("", "is empty");
    refused("a: [", "line");
    refused("a: 1\na: 2\n", "twice");
    refused("a: &x 1\nb: *x\n", "not understood");
    refused("current-context: gone\n", "there is no context \"gone\"");
    refused(CONFIG, "there is no user \"u\"");
    refused(CONFIG "users:\n- name: u\n  user: {client-certificate-data: Y2E=}\n", "needs its key");
    refused(CONFIG "users:\n- name: u\n  user: {client-key-data: '!'}\n", "user.client-key-data");
    refused(CONFIG "users:\n- name: u\n  user: {as: root}\n", "user.as");
    refused(CONFIG "users:\n- name: u\n  user: {exec: {command: x, apiVersion: v9}}\n", "user.exec.apiVersion");
    refused("current-context: c\ncontexts: [{name: c, context: {cluster: c}}]\nclusters: [{name: c, cluster: {server: "
            "'https://x', insecure-skip-tls-verify: true}}]\n",
            "insecure-skip-tls-verify");
    refused("current-context: c\ncontexts: [{name: c, context: {cluster: c}}]\nclusters: [{name: c, cluster: {server: "
            "'http://x'}}]\n",
            "https://");
}

static void test_a_plugin_gives_a_token_until_it_ends(void **state)
{
    struct kube_access a = {0};
    struct err err = ERR_INIT;
    struct clock_manual clock;
    int64_t now;
    assert_int_equal(clock_iso_parse("2026-11-23T10:00:00Z", &now), 0);
    clock_manual_init(&clock, now);
    /* Counts its calls in a file; the token is the count and what the cluster information says. */
    autofree char *text = mem_printf(
        CONFIG "users:\n- name: u\n  user:\n    exec:\n      apiVersion: client.authentication.k8s.io/v1\n"
               "      command: sh\n      provideClusterInfo: true\n      env: [{name: COUNT, value: %s/count}]\n"
               "      args:\n      - -c\n      - |\n"
               "        echo x >> $COUNT\n"
               "        case $KUBERNETES_EXEC_INFO in *k.example*) ;; *) exit 3;; esac\n"
               "        echo '{\"status\": {\"token\": \"t'$(wc -l < $COUNT)'\", "
               "\"expirationTimestamp\": \"2026-11-23T10:01:00Z\"}}'\n",
        (char *)*state);
    assert_int_equal(parse(text, &a, &err), 0);
    if (kube_access_token(&a, &clock.clock, false, &err) < 0)
        fail_msg("%s", err.message);
    assert_string_equal(a.token, "t1");
    assert_int_equal(kube_access_token(&a, &clock.clock, false, &err), 0);
    assert_string_equal(a.token, "t1");
    assert_int_equal(kube_access_token(&a, &clock.clock, true, &err), 0);
    assert_string_equal(a.token, "t2");
    clock.wall += 60000;
    assert_int_equal(kube_access_token(&a, &clock.clock, false, &err), 0);
    assert_string_equal(a.token, "t3");
    kube_access_free(&a);
}

static void test_a_mounted_token_is_read_again(void **state)
{
    autofree char *dir = mem_strdup(*state), *token = mem_printf("%s/token", dir), *ca = mem_printf("%s/ca.crt", dir),
                  *ns = mem_printf("%s/namespace", dir);
    struct kube_access a = {0};
    struct err err = ERR_INIT;
    struct clock_manual clock;
    clock_manual_init(&clock, 0);
    assert_int_equal(fs_write_atomic(token, "one\n", 4, 0600, &err), 0);
    assert_int_equal(fs_write_atomic(ca, "pem", 3, 0600, &err), 0);
    assert_int_equal(fs_write_atomic(ns, "own", 3, 0600, &err), 0);
    assert_int_equal(kube_access_pod(dir, "fd00::1", "443", &a, &err), 0);
    assert_string_equal(a.server, "https://[fd00::1]:443");
    assert_string_equal(a.namespace, "own");
    assert_int_equal(kube_access_token(&a, &clock.clock, false, &err), 0);
    assert_string_equal(a.token, "one");
    assert_int_equal(fs_write_atomic(token, "two", 3, 0600, &err), 0);
    clock_manual_advance(&clock, KUBE_TOKEN_MS - 1);
    assert_int_equal(kube_access_token(&a, &clock.clock, false, &err), 0);
    assert_string_equal(a.token, "one");
    clock_manual_advance(&clock, 1);
    assert_int_equal(kube_access_token(&a, &clock.clock, false, &err), 0);
    assert_string_equal(a.token, "two");
    /* A file that is away for a moment is no reason to stop; two lines would be two headers. */
    unlink(token);
    assert_int_equal(kube_access_token(&a, &clock.clock, true, &err), 0);
    assert_int_equal(fs_write_atomic(token, "a\r\nX: y", 7, 0600, &err), 0);
    assert_int_equal(kube_access_token(&a, &clock.clock, true, &err), 0);
    assert_string_equal(a.token, "two");
    kube_access_free(&a);
}

/* ---- watch bytes ---- */

struct taken {
    int n, types[8];
};

static int take(enum kube_event_type type, json_t *object OH_UNUSED, void *data)
{
    struct taken *t = data;
    t->types[t->n++] = type;
    return type == KUBE_ERROR ? -ESTALE : 0;
}

static void test_events_are_found_however_bytes_are_cut(void **state OH_UNUSED)
{
    static const char text[] =
        "{\"type\":\"ADDED\",\"object\":{}}\n{\"type\":\"BOOKMARK\",\"object\":{\"a\":\"\\n\"}}\r\n"
        "\n{\"type\":\"ERROR\",\"object\":{}}\n{\"type\":\"ADDED\",\"object\":{}}\n";
    for (size_t cut = 1; cut < sizeof(text); cut++) {
        struct kube_stream s;
        struct taken t = {0};
        int r = 0;
        kube_stream_init(&s);
        for (size_t at = 0; r == 0 && at < sizeof(text) - 1; at += cut)
            r = kube_stream_feed(&s, text + at, MIN(cut, sizeof(text) - 1 - at), take, &t, NULL);
        assert_int_equal(r, -ESTALE);
        assert_int_equal(t.n, 3);
        assert_int_equal(t.types[1], KUBE_BOOKMARK);
        kube_stream_free(&s);
    }
}

static void test_what_is_no_event_ends_the_stream(void **state OH_UNUSED)
{
    static const char *const bad[] = {"x\n", "{}\n", "{\"type\":\"ADDED\"}\n", "{\"type\":\"NEW\",\"object\":{}}\n"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct kube_stream s;
        struct taken t = {0};
        kube_stream_init(&s);
        assert_int_equal(kube_stream_feed(&s, bad[i], strlen(bad[i]), take, &t, NULL), -EINVAL);
        assert_int_equal(kube_stream_feed(&s, "\n", 1, take, &t, NULL), -EINVAL);
        kube_stream_free(&s);
    }
}

static void test_an_event_has_a_limit(void **state OH_UNUSED)
{
    autofree char *much = mem_alloc(KIB(64));
    struct kube_stream s;
    struct taken t = {0};
    int r = 0;
    memset(much, ' ', KIB(64));
    kube_stream_init(&s);
    for (size_t n = 0; r == 0 && n <= KUBE_LINE_MAX; n += KIB(64))
        r = kube_stream_feed(&s, much, KIB(64), take, &t, NULL);
    assert_int_equal(r, -EMSGSIZE);
    kube_stream_free(&s);
}

/* ---- facts ---- */

static struct kube_fact *fact(const char *name, int version, const char *managers)
{
    autofree char *text =
        mem_printf("{\"metadata\":{\"name\":\"%s\",\"namespace\":\"n\",\"uid\":\"u\",\"resourceVersion\":"
                   "\"%d\",\"managedFields\":[%s]}}",
                   name, version, managers);
    autojson json_t *v = NULL;
    struct kube_fact *f = NULL;
    assert_int_equal(js_parse(text, strlen(text), MIB(1), &v, NULL), 0);
    assert_int_equal(kube_fact_parse(KUBE_SERVICE, v, &f, NULL), 0);
    return f;
}

#define OURS "{\"manager\":\"ownhouse\",\"operation\":\"Apply\",\"fieldsV1\":{\"f:spec\":{}}}"
#define CLUSTERS "{\"manager\":\"kube-controller-manager\",\"operation\":\"Update\",\"fieldsV1\":{\"f:x\":{}}}"
#define STATUS "{\"manager\":\"lb\",\"operation\":\"Update\",\"subresource\":\"status\",\"fieldsV1\":{\"f:y\":{}}}"
#define THEIRS "{\"manager\":\"kubectl-edit\",\"operation\":\"Update\",\"fieldsV1\":{\"f:spec\":{}}}"

static void test_what_others_change_is_seen(void **state OH_UNUSED)
{
    struct kube_facts l = {0};
    kube_facts_put(&l, fact("a", 1, OURS "," CLUSTERS "," STATUS), false);
    assert_false(kube_fact_drifted(l.items[0]));
    kube_facts_put(&l, fact("a", 2, OURS "," THEIRS), false);
    assert_true(kube_fact_drifted(l.items[0]));
    /* Our own write settles it, though others still own something; their next change is seen again. */
    kube_facts_put(&l, fact("a", 3, OURS "," THEIRS), true);
    assert_false(kube_fact_drifted(l.items[0]));
    kube_facts_put(&l, fact("a", 4, OURS "," THEIRS "," STATUS), false);
    assert_false(kube_fact_drifted(l.items[0]));
    kube_facts_put(&l, fact("a", 5, THEIRS), false);
    assert_true(kube_fact_drifted(l.items[0]));
    kube_facts_free(&l);
}

static void test_older_sights_are_forgotten(void **state OH_UNUSED)
{
    struct kube_facts l = {0};
    for (int i = 0; i < 20; i++) {
        autofree char *name = mem_printf("f%d", (i * 7) % 20);
        assert_true(kube_facts_put(&l, fact(name, 10 + i, OURS), false));
    }
    for (size_t i = 1; i < l.n; i++)
        assert_true(strcmp(l.items[i - 1]->name, l.items[i]->name) < 0);
    assert_false(kube_facts_put(&l, fact("f0", 9, OURS), false));
    assert_int_equal(kube_facts_find(&l, KUBE_SERVICE, "n", "f0")->version, 10);
    assert_false(kube_facts_drop(&l, KUBE_SERVICE, "n", "f0", 9));
    assert_true(kube_facts_drop(&l, KUBE_SERVICE, "n", "f0", 11));
    assert_null(kube_facts_find(&l, KUBE_SERVICE, "n", "f0"));
    l.items[3]->mark = 1;
    assert_true(kube_facts_sweep(&l, KUBE_SERVICE, 1));
    assert_int_equal(l.n, 1);
    kube_facts_free(&l);
}

/* ---- leadership ---- */

static void test_a_lease_is_taken_kept_and_given_up(void **state OH_UNUSED)
{
    struct kube_lease l = {.self = "me"};
    int64_t due;
    assert_int_equal(kube_lease_next(&l, 0, &due), KUBE_LEASE_READ);
    assert_int_equal(kube_lease_next(&l, 1, &due), KUBE_LEASE_WAIT);
    kube_lease_missing(&l, 5);
    assert_int_equal(kube_lease_next(&l, 5, &due), KUBE_LEASE_CREATE);
    kube_lease_written(&l, "1");
    assert_true(l.leading);
    assert_int_equal(l.transitions, 1); /* as the first write says; a renewal says the same */
    assert_int_equal(kube_lease_next(&l, KUBE_LEASE_RENEW_MS, &due), KUBE_LEASE_WAIT);
    assert_int_equal(kube_lease_next(&l, KUBE_LEASE_RENEW_MS + 5, &due), KUBE_LEASE_UPDATE);
    /* No answer: the time counts from before the last write that succeeded. */
    kube_lease_next(&l, 5 + KUBE_LEASE_GIVE_UP_MS - 1, &due);
    assert_true(l.leading);
    kube_lease_next(&l, 5 + KUBE_LEASE_GIVE_UP_MS, &due);
    assert_false(l.leading);
    assert_true(KUBE_LEASE_GIVE_UP_MS < KUBE_LEASE_SECONDS * 1000);
}

static void test_anothers_lease_is_taken_only_when_it_stands_still(void **state OH_UNUSED)
{
    struct kube_lease l = {.self = "me"};
    int64_t due, now = 0;
    for (int i = 0; i < 20; i++, now += KUBE_LEASE_RETRY_MS) { /* renewed each time: never ours */
        char version[8];
        assert_int_equal(kube_lease_next(&l, now, &due), KUBE_LEASE_READ);
        snprintf(version, sizeof(version), "%d", i);
        kube_lease_seen(&l, now, "other", version, 30000, 0);
        assert_false(l.leading);
    }
    int64_t still = now - KUBE_LEASE_RETRY_MS;
    while (kube_lease_next(&l, now, &due) == KUBE_LEASE_READ) {
        kube_lease_seen(&l, now, "other", "19", 30000, 0);
        now = MAX(due, now + 1);
        if (l.due_ms > now)
            now = l.due_ms;
    }
    assert_true(now - still > 30000);
    /* The other came back just then: the write is refused, and we read again. */
    kube_lease_failed(&l, now, true);
    assert_int_equal(kube_lease_next(&l, now, &due), KUBE_LEASE_READ);
    kube_lease_seen(&l, now, "other", "20", 30000, 0);
    assert_int_equal(kube_lease_next(&l, now + KUBE_LEASE_RETRY_MS, &due), KUBE_LEASE_READ);
    kube_lease_seen(&l, now, "", "21", 30000, 0); /* given back */
    assert_int_equal(kube_lease_next(&l, now, &due), KUBE_LEASE_UPDATE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths_are_escaped),
        cmocka_unit_test(test_kubeconfig_is_read),
        cmocka_unit_test(test_kubeconfig_says_what_is_wrong),
        cmocka_unit_test_setup_teardown(test_a_plugin_gives_a_token_until_it_ends, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_a_mounted_token_is_read_again, scratch_setup, scratch_teardown),
        cmocka_unit_test(test_events_are_found_however_bytes_are_cut),
        cmocka_unit_test(test_what_is_no_event_ends_the_stream),
        cmocka_unit_test(test_an_event_has_a_limit),
        cmocka_unit_test(test_what_others_change_is_seen),
        cmocka_unit_test(test_older_sights_are_forgotten),
        cmocka_unit_test(test_a_lease_is_taken_kept_and_given_up),
        cmocka_unit_test(test_anothers_lease_is_taken_only_when_it_stands_still),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
