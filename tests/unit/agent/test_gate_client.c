/* agent/gate_client and the gate's end: as many workloads as there may be are told in parts that a socket takes. */
#include "../test.h"

#include "agent/gate/gate_internal.h"
#include "agent/gate_client.h"
#include "base/fs.h"
#include "base/unix_socket.h"

#include <sys/socket.h>

#define MANY 4000

static json_t *places_of(int n)
{
    json_t *list = json_array();
    for (int i = 0; i < n; i++) {
        char name[64], slug[64];
        snprintf(name, sizeof(name), "clickhouse-%08d-1111-4111-8111-111111111111-0", i);
        snprintf(slug, sizeof(slug), "a-service-with-quite-a-long-name-%d", i);
        json_array_append_new(list,
                              json_pack("{ss ss ss ss ss ss ss si sI}", "name", name, "state", "running", "address",
                                        "127.200.100.50", "role", "clickhouse", "service", name + 11, "slug", slug,
                                        "error", "", "restarts", 0, "sinceMs", (json_int_t)1795000000000));
    }
    return json_pack("{ss sb ss so}", "type", "places", "server", 1, "reader", "secret", "workloads", list);
}

static void a_thousand_services_fit(void **state OH_UNUSED)
{
    static const int counts[] = {0, 1, 650, 1000, 4096};
    for (size_t c = 0; c < ARRAY_SIZE(counts); c++) {
        autojson json_t *places = places_of(counts[c]), *parts = gate_client_parts(places, GATE_CLIENT_PART),
                        *joined = json_array();
        size_t at;
        json_t *part;
        json_array_foreach(parts, at, part)
        {
            autofree char *text = js_text(part);
            assert_in_range(strlen(text), 1, GATE_CLIENT_PART + KIB(2));
            assert_int_equal(json_integer_value(json_object_get(part, "from")), json_array_size(joined));
            assert_int_equal(json_is_true(json_object_get(part, "more")), at + 1 < json_array_size(parts));
            json_array_extend(joined, json_object_get(part, "workloads"));
        }
        assert_true(json_equal(joined, json_object_get(places, "workloads")));
    }
    autojson json_t *whole = places_of(1000);
    autofree char *text = js_text(whole);
    assert_true(strlen(text) > GATE_CONTROL_MAX); /* in one message it would not arrive */
}

static void the_gate_joins_them(void **state OH_UNUSED)
{
    struct gate *g = mem_alloc(sizeof(*g));
    autojson json_t *places = places_of(1000), *parts = gate_client_parts(places, GATE_CLIENT_PART),
                    *one = places_of(1);
    size_t at;
    json_t *part;
    assert_true(json_array_size(parts) > 3);
    gate_control_places(g, one); /* without `from`: it is whole */
    assert_int_equal(g->n_workloads, 1);
    json_array_foreach(parts, at, part)
    {
        assert_int_equal(g->n_workloads, 1); /* what was known stands until all is there */
        gate_control_places(g, part);
    }
    assert_int_equal(g->n_workloads, 1000);
    assert_string_equal(g->workloads[999].name, "clickhouse-00000999-1111-4111-8111-111111111111-0");
    assert_true(g->server && !strcmp(g->reader, "secret") && !g->coming);
    /* One is missing: the rest is not taken, the next whole is. */
    gate_control_places(g, json_array_get(parts, 0));
    for (at = 2; at < json_array_size(parts); at++)
        gate_control_places(g, json_array_get(parts, at));
    assert_int_equal(g->n_workloads, 1000);
    assert_null(g->coming);
    gate_control_places(g, one);
    assert_int_equal(g->n_workloads, 1);
    free(g->workloads);
    free(g->reader);
    free(g);
}

static json_t *many(void *data OH_UNUSED)
{
    return places_of(MANY);
}

static bool not_locked(void *data OH_UNUSED)
{
    return false;
}

static void gone(uv_handle_t *h, void *data OH_UNUSED)
{
    fail_msg("a handle of type %d is left", h->type);
}

/* The gate reads only when the socket is full: what did not fit comes after it, and other words come through. */
static void a_slow_gate_hears_everything(void **state)
{
    static char text[GATE_CONTROL_MAX];
    autofree char *path = mem_printf("%s/gate", (char *)*state);
    struct err err = ERR_INIT;
    autoclose int server = unix_listen(path, SOCK_SEQPACKET, 1, &err);
    assert_true(server >= 0);
    uv_loop_t loop;
    uv_loop_init(&loop);
    struct gate_client *c = gate_client_new(
        &(struct gate_client_config){.loop = &loop, .socket = path, .places = many, .locked = not_locked});
    autoclose int fd = -1;
    while (fd < 0)
        fd = accept4(server, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    gate_client_changed(c); /* once more, while the first has not gone out */
    gate_client_revoke(c, "11111111-1111-4111-8111-111111111111", "a test");
    for (int i = 0; i < 20; i++)
        uv_run(&loop, UV_RUN_NOWAIT);
    size_t last = 0, revoked = 0, messages = 0, taken = 0;
    for (int quiet = 0; quiet < 20;) {
        autojson json_t *m = NULL;
        uv_run(&loop, UV_RUN_NOWAIT);
        ssize_t n = recv(fd, text, sizeof(text), MSG_TRUNC);
        quiet = n > 0 ? 0 : quiet + 1;
        if (n <= 0)
            continue;
        messages++;
        assert_int_equal(js_parse(text, (size_t)n, sizeof(text), &m, &err), 0);
        if (json_object_get(m, "grant")) {
            revoked++;
            continue;
        }
        if (json_integer_value(json_object_get(m, "from")) == 0)
            taken = 0;
        taken += json_array_size(json_object_get(m, "workloads"));
        if (!json_is_true(json_object_get(m, "more")))
            last = taken;
    }
    assert_int_equal(revoked, 1);
    assert_int_equal(last, MANY);
    assert_true(messages > 10);
    gate_client_free(c);
    while (uv_run(&loop, UV_RUN_ONCE))
        ;
    uv_walk(&loop, gone, NULL);
    assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thousand_services_fit),
        cmocka_unit_test(the_gate_joins_them),
        cmocka_unit_test_setup_teardown(a_slow_gate_hears_everything, scratch_setup, scratch_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
