/* Reads form-data bodies. */
#include "clickhouse/multipart.h"

#include <strings.h>

#define NAME_BYTES 264

int multipart_boundary(const char *content_type, char ret[MULTIPART_BOUNDARY_MAX + 1], struct err *err)
{
    const char *at = strcasestr(content_type, "boundary=");
    if (strncasecmp(content_type, "multipart/form-data", 19) != 0 || !at)
        return err_set(err, -EINVAL, "the Content-Type must be multipart/form-data with a boundary");
    at += 9;
    bool quoted = *at == '"';
    at += quoted;
    size_t n = strcspn(at, quoted ? "\"" : "; \t");
    if (n == 0 || n > MULTIPART_BOUNDARY_MAX)
        return err_set(err, -EINVAL, "the boundary of the Content-Type must have 1 to %d bytes",
                       MULTIPART_BOUNDARY_MAX);
    memcpy(ret, at, n);
    ret[n] = 0;
    return 0;
}

/* The name="..." of a part's Content-Disposition; an empty name if there is none. */
static int part_name(const char *head, size_t len, char ret[NAME_BYTES], struct err *err)
{
    static const char field[] = "name=\"";
    const char *line = head, *end = head + len;

    ret[0] = 0;
    while (line < end) {
        const char *eol = memmem(line, (size_t)(end - line), "\r\n", 2);
        size_t n = (size_t)((eol ? eol : end) - line);
        if (n > 20 && strncasecmp(line, "Content-Disposition:", 20) == 0) {
            if (memmem(line, n, "filename", 8))
                return err_set(err, -EINVAL,
                               "the multipart body has a file: external data are not supported by the "
                               "embedded engine's server");
            const char *name = memmem(line, n, field, sizeof(field) - 1);
            const char *start = name ? name + sizeof(field) - 1 : NULL;
            const char *close = name ? memchr(start, '"', n - (size_t)(start - line)) : NULL;
            if (close && (size_t)(close - start) < NAME_BYTES) {
                memcpy(ret, start, (size_t)(close - start));
                ret[close - start] = 0;
            }
        }
        line = eol ? eol + 2 : end;
    }
    return *ret ? 0 : err_set(err, -EINVAL, "a part of the multipart body has no name");
}

static int take_part(const char *part, size_t len, struct params *params, struct buf *text, struct err *err)
{
    char name[NAME_BYTES];
    const char *blank = memmem(part, len, "\r\n\r\n", 4);
    if (!blank)
        return err_set(err, -EINVAL, "a part of the multipart body has no end of its header");
    const char *value = blank + 4;
    size_t value_len = len - (size_t)(value - part);
    int r = part_name(part, (size_t)(blank - part), name, err);
    if (r < 0)
        return r;
    if (strcmp(name, "query") == 0) {
        buf_add(text, value, value_len);
        return 0;
    }
    if (strncmp(name, "param_", 6) != 0)
        return err_set(err, -EINVAL, "the multipart body has a part that is neither query nor param_NAME");
    return params_add(params, name, strlen(name), value, value_len, err);
}

int multipart_parse(const char *body, size_t len, const char *boundary, struct params *params, struct buf *text,
                    struct err *err)
{
    char mark[MULTIPART_BOUNDARY_MAX + 5];
    size_t n = (size_t)snprintf(mark, sizeof(mark), "\r\n--%s", boundary);
    const char *end = body + len;

    /* The first boundary may stand at the very start, without the line end before it. */
    bool at_start = len >= n - 2 && memcmp(body, mark + 2, n - 2) == 0;
    const char *first = at_start ? body : memmem(body, len, mark, n);
    if (!first)
        return err_set(err, -EINVAL, "the multipart body has no boundary");
    const char *at = first + n - (at_start ? 2 : 0);
    for (;;) {
        if (end - at >= 2 && memcmp(at, "--", 2) == 0)
            return 0;
        if (end - at < 2 || memcmp(at, "\r\n", 2) != 0)
            return err_set(err, -EINVAL, "a boundary of the multipart body does not end its line");
        at += 2;
        const char *next = memmem(at, (size_t)(end - at), mark, n);
        if (!next)
            return err_set(err, -EINVAL, "the multipart body is cut short: its last boundary is missing");
        int r = take_part(at, (size_t)(next - at), params, text, err);
        if (r < 0)
            return r;
        at = next + n;
    }
}
