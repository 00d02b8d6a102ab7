/* Measures the operator's work without a runtime: bench-reconcile [SERVICES...]. One line a figure: name, value, unit.
 *
 * read      signed text to checked document        render   document to workloads and their digests (only after a
 * change) no-op     one pass that finds all as it should be (every change of a status, every 10 s) ingress   size of
 * HAProxy's file */
#include "agent/operator/reconcile.h"
#include "base/clock.h"
#include "base/keys.h"

#include <malloc.h>
#include <time.h>

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static char *make_document(int services)
{
    struct buf out = BUF_INIT;
    buf_adds(&out, "{\"type\":\"ownhouse/desired\",\"v\":1,\"infrastructure\":\"99999999-9999-4999-8999-999999999999\","
                   "\"version\":1,\"issuedAt\":\"2026-11-22T12:00:00.000Z\",\"domain\":\"bench.test\",\"services\":[");
    for (int i = 1; i <= services; i++)
        buf_printf(&out,
                   "%s{\"id\":\"%08d-0000-4000-8000-000000000000\",\"name\":\"s%d\",\"slug\":\"s%d\",\"ordinal\":%d,"
                   "\"state\":\"running\",\"deleteData\":false,\"replicas\":1,\"memoryGb\":8,\"users\":[{\"name\":"
                   "\"default\",\"sha256\":\"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"}],"
                   "\"ipAccessList\":[\"192.0.2.0/24\",\"2001:db8::/32\"]}",
                   i > 1 ? "," : "", i, i, i, i);
    buf_adds(&out, "]}");
    return buf_take(&out);
}

static void die(const struct err *err)
{
    fprintf(stderr, "bench-reconcile: %s\n", err->message);
    exit(1);
}

static void all_running(const struct workload_list *l, char (*digests)[65], struct runtime_status_list *ret)
{
    *ret = (struct runtime_status_list){.arena = arena_new(), .n = l->n};
    ret->items = arena_alloc(ret->arena, l->n * sizeof(*ret->items));
    for (size_t i = 0; i < l->n; i++) {
        ret->items[i] = (struct runtime_status){.name = l->items[i].name,
                                                .state = RUNTIME_RUNNING,
                                                .error = "",
                                                .labels = l->items[i].labels,
                                                .n_labels = l->items[i].n_labels};
        memcpy(ret->items[i].digest, digests[i], 65);
    }
}

static double no_op(const struct reconcile_input *in, struct reconcile_memory *m)
{
    const int rounds = 20;
    double start = now_ms();
    for (int i = 0; i < rounds; i++) {
        autoplan struct reconcile_plan p;
        reconcile_step(in, m, &p);
        if (p.n_actions)
            die(&(struct err){.message = "a pass that should find nothing to do wants to act"});
    }
    return (now_ms() - start) / rounds;
}

static void measure(int services)
{
    struct err err = ERR_INIT;
    autofree char *text = make_document(services);
    autodesired struct desired *d = NULL;
    double start = now_ms();
    if (desired_parse(text, strlen(text), &d, &err) < 0)
        die(&err);
    double read_ms = now_ms() - start;

    struct blueprint_certificate certificate = {"service", "pem"};
    struct blueprint_env env = {.public_address = "127.0.0.1",
                                .client_address = "127.0.0.1",
                                .certificates = &certificate,
                                .n_certificates = 1};
    autoworkloads struct workload_list list;
    workload_list_init(&list);
    start = now_ms();
    if (blueprint_render(d, &env, &list, &err) < 0)
        die(&err);
    autofree char(*digests)[65] = mem_alloc(list.n * sizeof(*digests));
    for (size_t i = 0; i < list.n; i++)
        if (runtime_digest(&list.items[i], digests[i], &err) < 0)
            die(&err);
    double render_ms = now_ms() - start;

    struct runtime_status_list observed;
    struct reconcile_memory *m = reconcile_memory_new();
    all_running(&list, digests, &observed);
    struct reconcile_input in = {d, &env, &list, (const char(*)[65])digests, &observed, 0};
    double pass_ms = no_op(&in, m);
    printf("read %d services\t%.2f\tms\nrender %d services\t%.2f\tms\nno-op pass %d services\t%.2f\tms\n", services,
           read_ms, services, render_ms, services, pass_ms);
    printf("document %d services\t%zu\tbytes\ningress %d services\t%zu\tbytes\nheap in use %d services\t%zu\tbytes\n",
           services, strlen(text), services, strlen(list.items[list.n - 1].files[0].content), services,
           mallinfo2().uordblks);
    reconcile_memory_free(m);
    runtime_status_list_free(&observed);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        int services = atoi(argv[i]);
        if (services < 1 || services > DESIRED_MAX_SERVICES) {
            fprintf(stderr, "bench-reconcile: %s: must be 1 to %d services\n", argv[i], DESIRED_MAX_SERVICES);
            return 2;
        }
        measure(services);
    }
    if (argc == 1) {
        measure(100);
        measure(1000);
        measure(DESIRED_MAX_SERVICES);
    }
    return 0;
}
