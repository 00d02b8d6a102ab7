/* blueprint: what is rendered passes the real programs' own checks (haproxy -c, knotc conf-check and zone-check). */
#include "golden.h"

#include "base/proc.h"

#include <sys/stat.h>

static const char *folder;

struct place {
    const char *root;
    const struct workload *w;
    struct arena *arena;
};

static const char *lookup(const char *name, void *data)
{
    struct place *p = data;
    if (!strncmp(name, "address", 7) || !strncmp(name, "ready:", 6))
        return "127.0.0.1";
    if (!strncmp(name, "param:", 6))
        return "/opt/param";
    return arena_printf(p->arena, "%s/%s/%s", p->root, p->w->name, strncmp(name, "volume:", 7) ? name : name + 7);
}

static char *write_files(struct place *p)
{
    char *home = mem_printf("%s/%s", p->root, p->w->name);
    autofree char *run = mem_printf("%s/run", home);
    assert_int_equal(fs_mkdirs(run, 0700, NULL), 0);
    for (size_t i = 0; i < p->w->n_files; i++) {
        autobuf struct buf text = BUF_INIT;
        autofree char *path = mem_printf("%s/files/%s", home, p->w->files[i].path), *dir = mem_strdup(path);
        struct err err = ERR_INIT;
        *strrchr(dir, '/') = '\0';
        assert_int_equal(fs_mkdirs(dir, 0700, NULL), 0);
        buf_adds(&text, "");
        if (workload_expand(p->w->files[i].content, lookup, p, &text, &err) < 0)
            fail_msg("%s: %s", p->w->files[i].path, err.message);
        assert_int_equal(fs_write_atomic(path, text.data ? text.data : "", text.len, 0600, NULL), 0);
    }
    return home;
}

static void check(const char *home, const char *const *argv)
{
    struct err err = ERR_INIT;
    assert_int_equal(chdir(home), 0);
    int r = proc_run(argv, NULL, 20000, NULL, &err);
    assert_int_equal(chdir("/"), 0);
    if (r == -ENOENT)
        print_message("%s is not installed: not checked\n", argv[0]);
    else if (r < 0)
        fail_msg("%s", err.message);
}

static void check_workload(struct place *p, const char *domain)
{
    autofree char *home = write_files(p);
    if (!strcmp(p->w->name, "ingress"))
        check(home, (const char *const[]){"haproxy", "-c", "-f", "files/haproxy.cfg", NULL});
    if (!strcmp(p->w->name, "dns")) {
        check(home, (const char *const[]){"knotc", "-c", "files/knot.conf", "conf-check", NULL});
        check(home, (const char *const[]){"knotc", "-c", "files/knot.conf", "zone-check", domain, NULL});
    }
}

static void check_case(const char *path, void *data)
{
    struct golden g;
    autoworkloads struct workload_list l;
    const char *pem = data;
    golden_load(path, &g);
    struct blueprint_certificate *certs = arena_alloc(g.arena, (g.env.n_certificates + 1) * sizeof(*certs));
    for (size_t i = 0; i < g.env.n_certificates; i++)
        certs[i] = (struct blueprint_certificate){g.env.certificates[i].name, pem};
    g.env.certificates = certs;
    workload_list_init(&l);
    assert_int_equal(blueprint_render(g.desired, &g.env, &l, NULL), 0);
    void *state = NULL;
    assert_int_equal(scratch_setup(&state), 0);
    for (size_t i = 0; i < l.n; i++) {
        /* A home may have a space in its path. */
        struct place p = {arena_printf(g.arena, "%s/a b", (char *)state), &l.items[i], g.arena};
        check_workload(&p, g.desired->domain);
    }
    assert_int_equal(scratch_teardown(&state), 0);
    golden_free(&g);
}

static void real_programs_accept_every_case(void **state)
{
    static const char script[] = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 "
                                 "-subj /CN=test -keyout - 2>/dev/null";
    autobuf struct buf pem = BUF_INIT;
    struct err err = ERR_INIT;
    if (proc_run((const char *const[]){"sh", "-c", script, NULL}, NULL, 20000, &pem, &err) < 0)
        fail_msg("openssl: %s", err.message);
    if (golden_each(folder, check_case, pem.data) < 4)
        fail_msg("golden cases are missing in %s", folder);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(real_programs_accept_every_case)};
    if (argc != 2)
        return 2;
    folder = realpath(argv[1], NULL);
    setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
    int r = cmocka_run_group_tests(tests, NULL, NULL);
    free((void *)(uintptr_t)folder);
    return r;
}
