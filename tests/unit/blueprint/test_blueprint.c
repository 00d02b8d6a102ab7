/* blueprint: golden cases, purity, and who is touched by a change. `test-blueprint-blueprint FOLDER --update` writes
 * the golden files anew; read the difference before it is committed. */
#include "golden.h"

static const char *folder;

static void render(const struct desired *d, const struct blueprint_env *env, struct workload_list *l)
{
    struct err err = ERR_INIT;
    workload_list_init(l);
    if (blueprint_render(d, env, l, &err) < 0)
        fail_msg("%s", err.message);
}

static char *pretty(const json_t *v)
{
    char *text = json_dumps(v, JSON_INDENT(1));
    assert_non_null(text);
    return text;
}

static void compare_case(const char *path, void *data OH_UNUSED)
{
    struct golden g;
    autoworkloads struct workload_list l;
    golden_load(path, &g);
    render(g.desired, &g.env, &l);
    autojson json_t *now = golden_show(&l);
    autofree char *is = pretty(now), *should = pretty(json_object_get(g.root, "workloads"));
    if (strcmp(is, should)) {
        size_t at = 0;
        while (is[at] == should[at])
            at++;
        while (at && should[at - 1] != '\n')
            at--;
        fail_msg("%s differs, first at:\n  golden: %.*s\n  now:    %.*s", path, (int)strcspn(should + at, "\n"),
                 should + at, (int)strcspn(is + at, "\n"), is + at);
    }
    golden_free(&g);
}

/* Rendered a service at a time, as the operator does, it is the same list. */
static void compare_parts(const char *path, void *data OH_UNUSED)
{
    struct golden g;
    autoworkloads struct workload_list whole;
    size_t at = 0;
    golden_load(path, &g);
    render(g.desired, &g.env, &whole);
    for (size_t i = 0; i <= g.desired->n_services; i++) {
        autoworkloads struct workload_list part;
        workload_list_init(&part);
        assert_int_equal(i < g.desired->n_services
                             ? blueprint_render_service(g.desired, &g.desired->services[i], &g.env, &part, NULL)
                             : blueprint_render_place(g.desired, &g.env, &part, NULL),
                         0);
        for (size_t k = 0; k < part.n; k++) {
            assert_true(at < whole.n);
            autojson json_t *one = workload_to_json(&part.items[k]), *same = workload_to_json(&whole.items[at++]);
            if (!json_equal(one, same))
                fail_msg("%s: %s differs", path, part.items[k].name);
        }
    }
    assert_int_equal(at, whole.n);
    golden_free(&g);
}

static void parts_are_the_whole(void **state OH_UNUSED)
{
    if (golden_each(folder, compare_parts, NULL) < 4)
        fail_msg("golden cases are missing in %s", folder);
}

static void golden_cases(void **state OH_UNUSED)
{
    if (golden_each(folder, compare_case, NULL) < 4)
        fail_msg("golden cases are missing in %s", folder);
}

static void update_case(const char *path, void *data OH_UNUSED)
{
    struct golden g;
    autoworkloads struct workload_list l;
    golden_load(path, &g);
    render(g.desired, &g.env, &l);
    json_object_set_new(g.root, "workloads", golden_show(&l));
    autofree char *text = pretty(g.root), *all = mem_printf("%s\n", text);
    assert_int_equal(fs_write_atomic(path, all, strlen(all), 0644, NULL), 0);
    golden_free(&g);
}

static char *all_text(const struct workload_list *l)
{
    struct buf out = BUF_INIT;
    for (size_t i = 0; i < l->n; i++) {
        autojson json_t *v = workload_to_json(&l->items[i]);
        assert_int_equal(js_canonical(v, &out, NULL), 0);
    }
    return buf_take(&out);
}

static void twice_case(const char *path, void *data OH_UNUSED)
{
    struct golden g, h;
    autoworkloads struct workload_list one, two;
    golden_load(path, &g);
    golden_load(path, &h);
    render(g.desired, &g.env, &one);
    render(h.desired, &h.env, &two);
    autofree char *a = all_text(&one), *b = all_text(&two);
    assert_string_equal(a, b);
    golden_free(&g);
    golden_free(&h);
}

static void same_input_gives_same_bytes(void **state OH_UNUSED)
{
    golden_each(folder, twice_case, NULL);
}

static void digest_of(const struct workload *w, char out[65])
{
    autojson json_t *v = workload_to_json(w);
    assert_int_equal(js_digest(v, out, NULL), 0);
}

/* Names of workloads that differ between two renderings, comma-separated. */
static char *differing(const struct workload_list *a, const struct workload_list *b)
{
    struct buf out = BUF_INIT;
    buf_adds(&out, "");
    assert_int_equal(a->n, b->n);
    for (size_t i = 0; i < a->n; i++) {
        char x[65], y[65];
        assert_string_equal(a->items[i].name, b->items[i].name);
        digest_of(&a->items[i], x);
        digest_of(&b->items[i], y);
        if (strcmp(x, y))
            buf_printf(&out, "%s,", a->items[i].name);
    }
    return buf_take(&out);
}

static struct desired *with(json_t *desired, json_t *new_version)
{
    struct desired *d = NULL;
    struct err err = ERR_INIT;
    if (new_version)
        json_object_set_new(desired, "version", new_version);
    autofree char *text = js_text(desired);
    if (desired_parse(text, strlen(text), &d, &err) < 0)
        fail_msg("%s", err.message);
    return d;
}

static void a_change_touches_only_its_service(void **state OH_UNUSED)
{
    static const struct {
        const char *key, *value, *touched;
    } changes[] = {
        {"ipAccessList", "[\"192.0.2.0/24\"]", "dns,ingress,"},
        {"memoryGb", "16", "clickhouse-22222222-2222-4222-8222-222222222222-0,dns,"},
        {"state", "\"stopped\"", "clickhouse-22222222-2222-4222-8222-222222222222-0,dns,ingress,"},
        {"name", "\"other\"", "dns,"},
        {"users",
         "[{\"name\":\"default\",\"sha256\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}]",
         "clickhouse-22222222-2222-4222-8222-222222222222-0,dns,"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
        struct golden g;
        autofree char *path = mem_printf("%s/laptop-three.json", folder);
        autoworkloads struct workload_list before, after;
        golden_load(path, &g);
        render(g.desired, &g.env, &before);
        json_t *document = json_object_get(g.root, "desired");
        json_t *second = json_array_get(json_object_get(document, "services"), 1);
        json_object_set_new(second, changes[i].key, json_loads(changes[i].value, JSON_DECODE_ANY, NULL));
        autodesired struct desired *d = with(document, json_integer(g.desired->version + 1));
        render(d, &g.env, &after);
        autofree char *touched = differing(&before, &after);
        if (strcmp(touched, changes[i].touched))
            fail_msg("%s: touched %s instead of %s", changes[i].key, touched, changes[i].touched);
        golden_free(&g);
    }
}

/* Time and version alone: only the zone's serial number moves. */
static void a_new_version_alone_touches_only_dns(void **state OH_UNUSED)
{
    struct golden g;
    autofree char *path = mem_printf("%s/laptop-three.json", folder);
    autoworkloads struct workload_list before, after;
    golden_load(path, &g);
    render(g.desired, &g.env, &before);
    json_t *document = json_object_get(g.root, "desired");
    json_object_set_new(document, "issuedAt", json_string("2030-01-01T00:00:00.000Z"));
    autodesired struct desired *d = with(document, json_integer(g.desired->version + 1));
    render(d, &g.env, &after);
    autofree char *touched = differing(&before, &after);
    assert_string_equal(touched, "dns,");
    golden_free(&g);
}

/* The ingress's lines for replica k, of both protocols. */
static int lines_of(const struct workload_list *l, int k)
{
    autofree char *text = all_text(l), *mark = mem_printf("    server r%d ", k);
    int n = 0;
    for (const char *p = text; (p = strstr(p, mark)); p++)
        n++;
    return n;
}

static void who_is_drained_is_left_out(void **state OH_UNUSED)
{
    struct golden g;
    autofree char *path = mem_printf("%s/server-replicas.json", folder);
    autoworkloads struct workload_list before, after, all;
    golden_load(path, &g);
    size_t at = 0;
    while (blueprint_replicas(&g.desired->services[at], &g.env) < 2)
        at++;
    struct desired_service *s = &g.desired->services[at];
    render(g.desired, &g.env, &before);
    s->drained = 2;
    render(g.desired, &g.env, &after);
    autofree char *touched = differing(&before, &after);
    assert_string_equal(touched, "ingress,"); /* what runs goes on as it is */
    assert_int_equal(lines_of(&after, 0), lines_of(&before, 0));
    assert_int_equal(lines_of(&after, 1), lines_of(&before, 1) - 2);
    s->drained = (1u << blueprint_replicas(s, &g.env)) - 1; /* made smaller meanwhile: somebody has to serve */
    render(g.desired, &g.env, &all);
    autofree char *same = differing(&before, &all);
    assert_string_equal(same, "");
    golden_free(&g);
}

static void environment_is_checked(void **state OH_UNUSED)
{
    static const char *const bad_proxy[] = {"10.0.0.0/99"};
    static const struct blueprint_certificate bad_certificate[] = {{"../x", "pem"}};
    const struct {
        struct blueprint_env env;
        const char *field;
    } cases[] = {
        {{.public_address = "somewhere"}, "public_address"},
        {{.client_address = "1.2.3"}, "client_address"},
        {{.bucket = "../etc"}, "bucket"},
        {{.log_level = "loud"}, "log_level"},
        {{.proxy_from = bad_proxy, .n_proxy_from = 1}, "proxy_from"},
        {{.certificates = bad_certificate, .n_certificates = 1}, "certificates"},
        {{.service_port_base = 8400, .service_port_count = 100}, "service ports"},
        {{.service_port_base = 65000, .service_port_count = 1000}, "service ports"},
        {{.https_port = 9440}, "https_port and native_port"},
    };
    struct golden g;
    autofree char *path = mem_printf("%s/empty.json", folder);
    golden_load(path, &g);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        autoworkloads struct workload_list l;
        struct err err = ERR_INIT;
        workload_list_init(&l);
        assert_int_equal(blueprint_render(g.desired, &cases[i].env, &l, &err), -EINVAL);
        if (strncmp(err.message, cases[i].field, strlen(cases[i].field)))
            fail_msg("case %zu: %s", i, err.message);
        assert_int_equal(l.n, 0);
    }
    golden_free(&g);
}

/* Secrets are in files marked so, and nowhere else. */
static void secrets_are_marked(void **state OH_UNUSED)
{
    static const char *const cases[] = {"laptop-three", "server-two"};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct golden g;
        autofree char *path = mem_printf("%s/%s.json", folder, cases[i]);
        autoworkloads struct workload_list l;
        golden_load(path, &g);
        render(g.desired, &g.env, &l);
        for (size_t k = 0; k < l.n; k++)
            for (size_t f = 0; f < l.items[k].n_files; f++) {
                const struct workload_file *file = &l.items[k].files[f];
                bool has = strstr(file->content, "chain and key");
                for (size_t s = 0; s < g.desired->n_services; s++)
                    has |= strstr(file->content, g.desired->services[s].users[0].sha256) != NULL;
                if (has != file->secret)
                    fail_msg("%s/%s: secret is %d", l.items[k].name, file->path, file->secret);
            }
        golden_free(&g);
    }
}

static void notice_says_what_is_not_done(void **state OH_UNUSED)
{
    autoarena struct arena *a = arena_new();
    struct blueprint_env env = {0};
    struct desired_service one = {.replicas = 1}, three = {.replicas = 3};
    assert_string_equal(blueprint_notice(&one, &env, a), "");
    assert_non_null(strstr(blueprint_notice(&three, &env, a), "3 replicas were asked for"));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_cases),
        cmocka_unit_test(parts_are_the_whole),
        cmocka_unit_test(same_input_gives_same_bytes),
        cmocka_unit_test(a_change_touches_only_its_service),
        cmocka_unit_test(a_new_version_alone_touches_only_dns),
        cmocka_unit_test(who_is_drained_is_left_out),
        cmocka_unit_test(environment_is_checked),
        cmocka_unit_test(secrets_are_marked),
        cmocka_unit_test(notice_says_what_is_not_done),
    };
    if (argc < 2 || argc > 3 || (argc == 3 && strcmp(argv[2], "--update"))) {
        fprintf(stderr, "usage: %s GOLDEN_FOLDER [--update]\n", argv[0]);
        return 2;
    }
    folder = argv[1];
    if (argc == 3) {
        printf("%d cases written\n", golden_each(folder, update_case, NULL));
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
