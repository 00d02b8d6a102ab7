/* The scratch infrastructure. */
#include "bench.h"

#include "base/proc.h"

static struct bench *of_state(struct plan_state *s)
{
    return CONTAINER_OF(s, struct bench, state);
}

static int state_load(struct plan_state *s, const char *type, const char *name, json_t **ret, struct err *err OH_UNUSED)
{
    autofree char *key = mem_printf("%s.%s", type, name);
    *ret = json_incref(json_object_get(of_state(s)->records, key));
    return 0;
}

static int state_save(struct plan_state *s, const char *type, const char *name, const json_t *record,
                      struct err *err OH_UNUSED)
{
    autofree char *key = mem_printf("%s.%s", type, name);
    json_object_set_new(of_state(s)->records, key, json_deep_copy(record));
    return 0;
}

static int state_forget(struct plan_state *s, const char *type, const char *name, struct err *err OH_UNUSED)
{
    autofree char *key = mem_printf("%s.%s", type, name);
    json_object_del(of_state(s)->records, key);
    return 0;
}

static int state_list(struct plan_state *s, json_t **ret, struct err *err OH_UNUSED)
{
    const char *key;
    json_t *v;
    *ret = json_array();
    json_object_foreach(of_state(s)->records, key, v)
    {
        const char *dot = strchr(key, '.');
        json_array_append_new(
            *ret, json_pack("{s:s%, s:s, s:O}", "type", key, (int)(dot - key), "name", dot + 1, "record", v));
    }
    return 0;
}

static int phase(struct plan_journal *j, const struct plan_step *s, enum plan_phase *ret, struct err *err OH_UNUSED)
{
    *ret = (enum plan_phase)json_integer_value(json_object_get(CONTAINER_OF(j, struct bench, j)->journal, s->token));
    return 0;
}

static void write_phase(struct plan_journal *j, const struct plan_step *s, enum plan_phase p)
{
    json_object_set_new(CONTAINER_OF(j, struct bench, j)->journal, s->token, json_integer(p));
}

static int begin(struct plan_journal *j, const struct plan_step *s, struct err *err OH_UNUSED)
{
    write_phase(j, s, PLAN_PHASE_BEGIN);
    return 0;
}

static int done(struct plan_journal *j, const struct plan_step *s, const json_t *a OH_UNUSED, struct err *err OH_UNUSED)
{
    write_phase(j, s, PLAN_PHASE_DONE);
    return 0;
}

static int failed(struct plan_journal *j, const struct plan_step *s, const struct err *why OH_UNUSED,
                  struct err *err OH_UNUSED)
{
    write_phase(j, s, PLAN_PHASE_FAILED);
    return 0;
}

static int mint(void *data, char **ret, struct err *err OH_UNUSED)
{
    struct bench *b = data;
    __atomic_add_fetch(&b->minted, 1, __ATOMIC_SEQ_CST);
    *ret = mem_strdup("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
    return 0;
}

int bench_setup(void **state)
{
    struct bench *b = mem_alloc(sizeof(*b));
    *state = b;
    *b = (struct bench){.records = json_object(), .journal = json_object()};
    b->dir = mem_strdup("/tmp/ownhouse-cloud-XXXXXX");
    assert_non_null(mkdtemp(b->dir));
    uuid_new(b->id);
    b->account = mem_printf("%s/account", b->dir);
    b->control = mem_printf("%s/control", b->dir);
    b->bundle = mem_printf("%s/bundle.json", b->dir);
    b->agent = mem_strdup("/bin/true");
    assert_int_equal(fs_write_atomic(b->bundle, "{}", 2, 0600, NULL), 0);
    autofree char *run = mem_printf("%s/run", b->control);
    assert_int_equal(fs_mkdirs(run, 0700, NULL), 0);
    int base = 20000 + (int)random_below(20000);
    b->env = (struct local_env){.infrastructure = b->id,
                                .name = "home",
                                .domain = "laptop.ownhouse.localhost",
                                .account_dir = b->account,
                                .cidr = "10.213.0.0/16",
                                .isolated = geteuid() == 0,
                                .https_port = base,
                                .native_port = base + 1,
                                .service_port_base = base + 2,
                                .service_port_count = 3,
                                .control_state_dir = b->control,
                                .control_address = "127.0.0.1:1",
                                .bundle = b->bundle,
                                .agent_program = b->agent,
                                .haproxy_program = "/usr/sbin/haproxy",
                                .engine_program = "",
                                .engine_library = "",
                                .clickhouse_program = "/bin/true",
                                .knot_program = "",
                                .log_level = "info",
                                .mint_token = mint,
                                .mint_data = b};
    b->state = (struct plan_state){state_load, state_save, state_forget, state_list};
    b->j = (struct plan_journal){phase, begin, done, failed};
    b->c = (struct plan_context){.infrastructure = b->id,
                                 .types = cloud_local_types,
                                 .provider = &b->env,
                                 .state = &b->state,
                                 .clock = &clock_system,
                                 .retry_first_ms = 50,
                                 .retry_total_ms = 10000};
    return 0;
}

void bench_agent(struct bench *b, const char *program)
{
    free(b->agent);
    b->agent = mem_strdup(program);
    b->env.agent_program = b->agent;
}

bool bench_run(const char *line, const char *name)
{
    autobuf struct buf text = BUF_INIT;
    for (; *line; line++)
        if (*line == '@')
            buf_adds(&text, name);
        else
            buf_addc(&text, *line);
    return proc_run((const char *const[]){"sh", "-c", text.data, NULL}, NULL, 20000, NULL, NULL) == 0;
}

int bench_teardown(void **state)
{
    struct bench *b = *state;
    char id[9];
    snprintf(id, sizeof(id), "%.8s", b->id);
    /* By the tag in the environment, then by name. */
    (void)!bench_run("for p in $(grep -lsz OWNHOUSE_INFRASTRUCTURE=@ /proc/[0-9]*/environ); do kill -9 $(echo $p | cut "
                     "-d/ -f3); done",
                     b->id);
    if (geteuid() == 0)
        (void)!bench_run(
            "ip netns delete oh-@; ip link delete ohb-@; ip link delete ohv-@; nft delete table bridge oh_@", id);
    (void)!fs_remove_tree(b->dir, NULL);
    json_decref(b->records);
    json_decref(b->journal);
    free(b->dir);
    free(b->account);
    free(b->control);
    free(b->bundle);
    free(b->agent);
    free(b);
    return 0;
}

int bench_try(struct bench *b, const struct plan_graph *g, enum plan_kind kind, bool delete_data, struct err *err)
{
    autojson json_t *doc = NULL;
    char digest[65];
    int r = plan_make(&b->c, g, kind, delete_data, &doc, err);
    if (r == 0)
        r = plan_digest(doc, digest, err);
    return r < 0 ? r : plan_apply(&b->c, g, doc, digest, &b->j, NULL, err);
}

void bench_go(struct bench *b, const struct plan_graph *g, enum plan_kind kind, bool delete_data)
{
    struct err err = ERR_INIT;
    int r = bench_try(b, g, kind, delete_data, &err);
    if (r < 0)
        fail_msg("%d: %s", r, err.message);
}

void bench_settled(struct bench *b, const struct plan_graph *g)
{
    struct err err = ERR_INIT;
    autojson json_t *doc = NULL;
    if (plan_make(&b->c, g, PLAN_APPLY, false, &doc, &err) < 0)
        fail_msg("%s", err.message);
    autofree char *text = js_text(json_object_get(doc, "changes"));
    if (!plan_is_empty(doc))
        fail_msg("not settled: %s", text);
}

const char *bench_action(struct bench *b, const struct plan_graph *g, const char *key)
{
    static char action[16];
    size_t i;
    json_t *v;
    struct err err = ERR_INIT;
    autojson json_t *doc = NULL;
    if (plan_make(&b->c, g, PLAN_APPLY, false, &doc, &err) < 0)
        fail_msg("%s", err.message);
    json_array_foreach(json_object_get(doc, "changes"), i, v)
    {
        if (!strcmp(json_string_value(json_object_get(v, "resource")), key)) {
            snprintf(action, sizeof(action), "%s", json_string_value(json_object_get(v, "action")));
            return action;
        }
    }
    fail_msg("%s is not in the plan", key);
    return NULL;
}

bool bench_is_root(void)
{
    if (cloud_local_can_isolate(NULL, 0))
        return true;
    print_message("skipped: not root\n");
    return false;
}
