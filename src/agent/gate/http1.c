/* Reads small HTTP/1.1 requests and writes answers. */
#include "agent/gate/http1.h"

#include "base/mem.h"

#include <strings.h>

void http1_reader_free(struct http1_reader *r)
{
    buf_free(&r->data);
    r->head = r->want = 0;
}

void http1_next(struct http1_reader *r)
{
    http1_reader_free(r);
}

static int bad(int *status, int code, struct err *err, const char *sentence)
{
    *status = code;
    return err_set(err, -EINVAL, "%s", sentence);
}

static bool token_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("!#$%&'*+-.^_`|~", c));
}

static int read_line(char *line, struct http1_request *q, int *status, struct err *err)
{
    char *target = strchr(line, ' '), *version = target ? strchr(target + 1, ' ') : NULL;
    if (!version || target == line || (size_t)(target - line) >= sizeof(q->method))
        return bad(status, 400, err, "the request line must be METHOD PATH HTTP/1.1");
    *target++ = '\0';
    *version++ = '\0';
    for (const char *p = line; *p; p++)
        if (*p < 'A' || *p > 'Z')
            return bad(status, 400, err, "the method must be in capital letters");
    for (const char *p = target; *p; p++)
        if (*p <= ' ' || *p >= 0x7f || *p == '#')
            return bad(status, 400, err, "the path must be visible ASCII");
    if (*target != '/')
        return bad(status, 400, err, "the path must begin with /");
    if (strcmp(version, "HTTP/1.1") && strcmp(version, "HTTP/1.0"))
        return bad(status, 400, err, "only HTTP/1.1 and HTTP/1.0 are spoken here");
    q->keep_alive = version[7] == '1';
    memcpy(q->method, line, strlen(line) + 1);
    q->target = target;
    return 0;
}

struct head {
    size_t length;
    bool has_length;
};

static int read_length(const char *value, struct head *h, int *status, struct err *err)
{
    size_t digits = strspn(value, "0123456789");
    if (h->has_length || !digits || value[digits])
        return bad(status, 400, err, "Content-Length must be one number, once");
    if (digits > 9 || strtoul(value, NULL, 10) > HTTP1_BODY_MAX)
        return bad(status, 413, err, "the body is too long");
    h->has_length = true;
    h->length = strtoul(value, NULL, 10);
    return 0;
}

static int read_header(char *line, struct http1_request *q, struct head *h, int *status, struct err *err)
{
    char *value = strchr(line, ':');
    if (!value || value == line)
        return bad(status, 400, err, "a header must be Name: value");
    *value++ = '\0';
    for (const char *p = line; *p; p++)
        if (!token_byte(*p))
            return bad(status, 400, err, "a header's name has a byte that may not be there");
    value += strspn(value, " \t");
    for (size_t n = strlen(value); n && (value[n - 1] == ' ' || value[n - 1] == '\t'); n--)
        value[n - 1] = '\0';
    for (const char *p = value; *p; p++)
        if ((unsigned char)*p < ' ' && *p != '\t')
            return bad(status, 400, err, "a header's value has a byte that may not be there");
    if (!strcasecmp(line, "content-length"))
        return read_length(value, h, status, err);
    if (!strcasecmp(line, "transfer-encoding"))
        return bad(status, 501, err, "Transfer-Encoding is not taken here: send Content-Length");
    if (!strcasecmp(line, "upgrade"))
        return bad(status, 501, err, "protocols are not changed here");
    if (!strcasecmp(line, "connection") && !strcasecmp(value, "close"))
        q->keep_alive = false;
    return 0;
}

/* Cuts the head into lines; every one must end with CRLF. */
static int read_head(struct http1_reader *r, struct http1_request *q, struct head *h, int *status, struct err *err)
{
    char *at = r->data.data, *end = r->data.data + r->head - 2;
    bool first = true;
    if (memchr(at, '\0', r->head))
        return bad(status, 400, err, "the request has a NUL byte");
    while (at < end) {
        char *line = at, *stop = memmem(at, (size_t)(end + 2 - at), "\r\n", 2);
        *stop = '\0';
        at = stop + 2;
        if (strpbrk(line, "\r\n"))
            return bad(status, 400, err, "lines must end with CR LF");
        if (!first && (*line == ' ' || *line == '\t'))
            return bad(status, 400, err, "folded header lines are not taken");
        int result = first ? read_line(line, q, status, err) : read_header(line, q, h, status, err);
        if (result < 0)
            return result;
        first = false;
    }
    return first ? bad(status, 400, err, "the request is empty") : 0;
}

int http1_read(struct http1_reader *r, const char **data, size_t *len, struct http1_request *ret, int *ret_status,
               struct err *err)
{
    struct http1_request q = {0};
    struct head h = {0};
    if (!r->head) {
        size_t room = HTTP1_HEAD_MAX - MIN(r->data.len, HTTP1_HEAD_MAX), from = r->data.len;
        size_t take = MIN(*len, room);
        buf_add(&r->data, *data, take);
        char *end = r->data.data ? memmem(r->data.data + (from > 3 ? from - 3 : 0),
                                          r->data.len - (from > 3 ? from - 3 : 0), "\r\n\r\n", 4)
                                 : NULL;
        if (!end) {
            *data += take;
            *len -= take;
            return r->data.len < HTTP1_HEAD_MAX ? 0 : bad(ret_status, 431, err, "the request's head is too long");
        }
        r->head = (size_t)(end - r->data.data) + 4;
        take = r->head - from;
        r->data.len = r->head;
        *data += take;
        *len -= take;
    }
    /* The head is read again when the body is whole: it is small, and nothing need be kept between. */
    autofree char *head = mem_alloc(r->head + 1);
    memcpy(head, r->data.data, r->head);
    struct http1_reader copy = {.data = {.data = head, .len = r->head}, .head = r->head};
    int result = r->want ? 0 : read_head(&copy, &q, &h, ret_status, err);
    if (result < 0)
        return result;
    if (!r->want)
        r->want = r->head + h.length;
    size_t take = MIN(*len, r->want - r->data.len);
    buf_add(&r->data, *data, take);
    *data += take;
    *len -= take;
    if (r->data.len < r->want)
        return 0;
    q = (struct http1_request){0};
    h = (struct head){0};
    result = read_head(r, &q, &h, ret_status, err);
    if (result < 0)
        return result;
    q.body = r->data.data + r->head;
    q.body_len = r->want - r->head;
    *ret = q;
    return 1;
}

static const char *reason(int status)
{
    static const struct {
        int status;
        const char *text;
    } all[] = {{200, "OK"},
               {400, "Bad Request"},
               {403, "Forbidden"},
               {404, "Not Found"},
               {405, "Method Not Allowed"},
               {411, "Length Required"},
               {413, "Content Too Large"},
               {429, "Too Many Requests"},
               {431, "Request Header Fields Too Large"},
               {500, "Internal Server Error"},
               {501, "Not Implemented"},
               {502, "Bad Gateway"},
               {503, "Service Unavailable"},
               {504, "Gateway Timeout"}};
    for (size_t i = 0; i < ARRAY_SIZE(all); i++)
        if (all[i].status == status)
            return all[i].text;
    return "Answer";
}

void http1_answer(struct buf *out, int status, const char *type, const char *headers, const char *body, size_t len,
                  bool keep_alive)
{
    buf_printf(out,
               "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nCache-Control: no-store\r\n"
               "X-Content-Type-Options: nosniff\r\nConnection: %s\r\n",
               status, reason(status), type, len, keep_alive ? "keep-alive" : "close");
    buf_adds(out, headers);
    buf_adds(out, "\r\n");
    buf_add(out, body, len);
}

/* ---- parameters ---- */

static int decode(const char *from, size_t len, char **ret)
{
    autofree char *out = mem_alloc(len + 1);
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        if (from[i] == '%') {
            bool room = len - i > 2;
            int high = room ? hex_digit(from[i + 1]) : -1, low = room ? hex_digit(from[i + 2]) : -1;
            if (high < 0 || low < 0 || (high == 0 && low == 0))
                return -EINVAL;
            out[n++] = (char)(high << 4 | low);
            i += 2;
        } else {
            out[n++] = from[i] == '+' ? ' ' : from[i];
        }
    }
    *ret = TAKE_PTR(out);
    return 0;
}

/* The next pair of a query string, or false. */
static bool next_pair(const char **at, const char **name, size_t *name_len, const char **value, size_t *value_len)
{
    if (!*at || !**at)
        return false;
    size_t n = strcspn(*at, "&"), eq = strcspn(*at, "=&");
    *name = *at;
    *name_len = MIN(eq, n);
    *value = *at + MIN(eq + 1, n);
    *value_len = eq < n ? n - eq - 1 : 0;
    *at += n + ((*at)[n] == '&');
    return true;
}

int http1_param(const char *target, const char *name, char **ret, struct err *err)
{
    const char *at = strchr(target, '?'), *key, *value;
    size_t key_len, value_len;
    autofree char *found = NULL;
    if (at)
        at++;
    while (next_pair(&at, &key, &key_len, &value, &value_len)) {
        if (key_len != strlen(name) || memcmp(key, name, key_len))
            continue;
        if (found)
            return err_set(err, -EINVAL, "the parameter %s is there twice", name);
        if (decode(value, value_len, &found) < 0)
            return err_set(err, -EINVAL, "the parameter %s is not encoded as a URL asks for", name);
    }
    *ret = TAKE_PTR(found);
    return 0;
}

int http1_params_only(const char *target, const char *const *allowed, struct err *err)
{
    const char *at = strchr(target, '?'), *key, *value;
    size_t key_len, value_len;
    if (at)
        at++;
    while (next_pair(&at, &key, &key_len, &value, &value_len)) {
        bool known = false;
        for (size_t i = 0; allowed[i]; i++)
            known |= key_len == strlen(allowed[i]) && !memcmp(key, allowed[i], key_len);
        if (!known)
            return err_set(err, -EINVAL, "the parameter %.*s is not taken here", (int)MIN(key_len, 60), key);
    }
    return 0;
}
