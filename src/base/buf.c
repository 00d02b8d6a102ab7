/* Growable byte buffer, hex and base64. */
#include "base/buf.h"

#include "base/mem.h"

#include <stdarg.h>

void buf_free(struct buf *b)
{
    free(b->data);
    b->data = NULL;
    b->len = b->cap = 0;
}

static bool reserve(struct buf *b, size_t more)
{
    if (b->overflow || more > SIZE_MAX / 4 || b->len > SIZE_MAX / 4)
        return !(b->overflow = true);
    size_t need = b->len + more;
    if (b->max && need > b->max)
        return !(b->overflow = true);
    if (need + 1 <= b->cap)
        return true;
    size_t cap = MAX(b->cap * 2, (size_t)64);
    b->cap = MAX(cap, need + 1);
    b->data = mem_realloc(b->data, b->cap);
    return true;
}

void buf_add(struct buf *b, const void *data, size_t len)
{
    if (!reserve(b, len))
        return;
    if (len)
        memcpy(b->data + b->len, data, len);
    b->len += len;
    b->data[b->len] = 0;
}

void buf_adds(struct buf *b, const char *s)
{
    buf_add(b, s, strlen(s));
}

void buf_addc(struct buf *b, char c)
{
    buf_add(b, &c, 1);
}

void buf_quote(struct buf *b, char mark, const char *text)
{
    buf_addc(b, mark);
    for (; *text; text++) {
        if (*text == mark || *text == '\\')
            buf_addc(b, '\\');
        buf_addc(b, *text);
    }
    buf_addc(b, mark);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n >= 0 && reserve(b, (size_t)n)) {
        vsnprintf(b->data + b->len, (size_t)n + 1, fmt, again);
        b->len += (size_t)n;
    }
    va_end(again);
}

void buf_consume(struct buf *b, size_t n)
{
    if (n >= b->len) {
        b->len = 0;
        if (b->data)
            b->data[0] = 0;
        return;
    }
    memmove(b->data, b->data + n, b->len - n);
    b->len -= n;
    b->data[b->len] = 0;
}

char *buf_take(struct buf *b)
{
    char *p = b->data ? b->data : mem_alloc(1);
    b->data = NULL;
    b->len = b->cap = 0;
    return p;
}

void hex_encode(const void *data, size_t len, char *out)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *p = data;
    for (size_t i = 0; i < len; i++) {
        out[2 * i] = digits[p[i] >> 4];
        out[2 * i + 1] = digits[p[i] & 15];
    }
    out[2 * len] = 0;
}

int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

int hex_decode(const char *text, void *out, size_t out_len)
{
    unsigned char *p = out;
    if (strnlen(text, 2 * out_len + 1) != 2 * out_len)
        return -EINVAL;
    for (size_t i = 0; i < out_len; i++) {
        int hi = hex_digit(text[2 * i]), lo = hex_digit(text[2 * i + 1]);
        if (hi < 0 || lo < 0)
            return -EINVAL;
        p[i] = (unsigned char)(hi << 4 | lo);
    }
    return 0;
}

static const char b64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *base64_encode(const void *data, size_t len)
{
    const unsigned char *p = data;
    char *out = mem_alloc((len + 2) / 3 * 4 + 1), *o = out;
    for (size_t i = 0; i < len; i += 3) {
        uint32_t v = (uint32_t)p[i] << 16;
        if (i + 1 < len)
            v |= (uint32_t)p[i + 1] << 8;
        if (i + 2 < len)
            v |= p[i + 2];
        *o++ = b64[v >> 18 & 63];
        *o++ = b64[v >> 12 & 63];
        *o++ = i + 1 < len ? b64[v >> 6 & 63] : '=';
        *o++ = i + 2 < len ? b64[v & 63] : '=';
    }
    *o = 0;
    return out;
}

static int b64_value(char c)
{
    const char *at = c ? strchr(b64, c) : NULL;
    return at ? (int)(at - b64) : -1;
}

int base64_decode(const char *text, size_t max, unsigned char **ret, size_t *ret_len)
{
    size_t n = strlen(text);
    if (n % 4)
        return -EINVAL;
    size_t pad = n && text[n - 1] == '=' ? (text[n - 2] == '=' ? 2 : 1) : 0;
    size_t len = n / 4 * 3 - pad;
    if (len > max)
        return -EMSGSIZE;
    autofree unsigned char *out = mem_alloc(len + 1);
    size_t o = 0;
    uint32_t v = 0;
    for (size_t i = 0; i < n; i++) {
        int d = i >= n - pad ? 0 : b64_value(text[i]);
        if (d < 0)
            return -EINVAL;
        v = v << 6 | (uint32_t)d;
        if (i % 4 != 3)
            continue;
        for (int shift = 16; shift >= 0; shift -= 8) {
            unsigned char byte = (unsigned char)(v >> shift);
            if (o < len)
                out[o++] = byte;
            else if (byte)
                return -EINVAL;
        }
        v = 0;
    }
    *ret = TAKE_PTR(out);
    *ret_len = len;
    return 0;
}
