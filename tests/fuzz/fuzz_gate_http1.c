/* Any bytes as HTTP requests, in two pieces: whole requests are well formed, and all else is refused with a sentence.
 */
#include "agent/gate/http1.h"
#include "agent/gate/target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look(const struct http1_request *q)
{
    struct target_ask clickhouse = {0}, prometheus = {0};
    bool ping = false;
    if (*q->target != '/' || !*q->method || q->body_len > HTTP1_BODY_MAX)
        abort();
    if (target_read_clickhouse(q, GATE_CLICKHOUSE_DIAG, &clickhouse, &ping, NULL) == 0 && !ping && !clickhouse.sql)
        abort();
    if (target_read_prometheus(q, &prometheus, NULL) == 0 && strncmp(prometheus.path, "/api/v1/", 8))
        abort();
    target_ask_free(&clickhouse);
    target_ask_free(&prometheus);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http1_reader r = {0};
    size_t cut = size ? data[0] % size : 0;
    const char *parts[2] = {(const char *)data, (const char *)data + cut};
    size_t lens[2] = {cut, size - cut};
    for (size_t i = 0; i < 2; i++) {
        const char *at = parts[i];
        size_t left = lens[i];
        while (left) {
            struct http1_request q;
            struct err err = ERR_INIT;
            int status = 0, result = http1_read(&r, &at, &left, &q, &status, &err);
            if (result < 0) {
                if (!err.message[0] || status < 400)
                    abort();
                http1_reader_free(&r);
                return 0;
            }
            if (result == 0)
                break;
            look(&q);
            http1_next(&r);
        }
    }
    http1_reader_free(&r);
    return 0;
}
