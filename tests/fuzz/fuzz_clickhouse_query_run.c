/* A query endpoint's request: the URL's query string up to the first line feed, then the body. */
#include "base/mem.h"
#include "clickhouse/query_run.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    autofree char *text = mem_strndup((const char *)data, size);
    struct query_path path;
    struct query_run q;
    struct err err = ERR_INIT;
    char *body = strchr(text, '\n');
    if (body)
        *body++ = '\0';
    if (query_path_parse(text, &path) && !uuid_valid(path.id))
        abort();
    if (query_run_read(text, body ? body : "", body ? strlen(body) : 0, &q, &err) == 0) {
        if (!params_get(q.params, "default_format") || params_get(q.params, "user") || params_get(q.params, "query"))
            abort();
        query_run_free(&q);
    } else if (!err.message[0]) {
        abort();
    }
    return 0;
}
