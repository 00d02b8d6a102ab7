/* A watch's bytes: whatever they are and however they are cut, the events are the same, and facts are taken of them. */
#include "base/mem.h"
#include "runtime/kubernetes/facts.h"
#include "runtime/kubernetes/stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int take(enum kube_event_type type OH_UNUSED, json_t *object, void *data)
{
    struct kube_facts *l = data;
    static const enum kube_kind kinds[] = {KUBE_POD, KUBE_STATEFUL_SET, KUBE_SERVICE, KUBE_CLAIM, KUBE_NAMESPACE};
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        struct kube_fact *f;
        if (kube_fact_parse(kinds[i], object, &f, NULL) == 0)
            kube_facts_put(l, f, type == KUBE_MODIFIED);
    }
    return 0;
}

static size_t feed(const uint8_t *data, size_t size, size_t piece, int *ret_result)
{
    struct kube_stream s;
    struct kube_facts l = {0};
    kube_stream_init(&s);
    *ret_result = 0;
    for (size_t at = 0; at < size && *ret_result == 0; at += piece)
        *ret_result = kube_stream_feed(&s, (const char *)data + at, MIN(piece, size - at), take, &l, NULL);
    size_t n = l.n;
    for (size_t i = 1; i < l.n; i++)
        if (l.items[i - 1]->kind > l.items[i]->kind)
            abort();
    kube_facts_free(&l);
    kube_stream_free(&s);
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int whole, cut;
    size_t n = feed(data, size, size + 1, &whole), m = feed(data, size, 7, &cut);
    if (n != m || whole != cut)
        abort();
    return 0;
}
