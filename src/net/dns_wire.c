/* Reads and writes DNS messages. */
#include "net/dns_wire.h"

#include <arpa/inet.h>
#include <ctype.h>

#define JUMPS_MAX 64
#define NAME_BYTES 255
#define LABEL_BYTES 63

static const struct {
    unsigned type;
    const char *name;
} types[] = {{DNS_A, "A"}, {DNS_AAAA, "AAAA"}, {DNS_CNAME, "CNAME"}, {DNS_TXT, "TXT"}};

unsigned dns_type_of(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(types); i++)
        if (!strcmp(types[i].name, name))
            return types[i].type;
    return 0;
}

const char *dns_type_name(unsigned type)
{
    for (size_t i = 0; i < ARRAY_SIZE(types); i++)
        if (types[i].type == type)
            return types[i].name;
    return NULL;
}

const char *dns_rcode_name(int rcode)
{
    static const char *const names[] = {"NOERROR",  "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED",
                                        "YXDOMAIN", "YXRRSET", "NXRRSET",  "NOTAUTH",  "NOTZONE"};
    return rcode >= 0 && (size_t)rcode < ARRAY_SIZE(names) ? names[rcode] : "an error without a name";
}

static unsigned get16(const unsigned char *p)
{
    return (unsigned)p[0] << 8 | p[1];
}

/* ---- reading ---- */

int dns_read_head(const unsigned char *m, size_t len, struct dns_head *ret)
{
    if (len < 12)
        return -EBADMSG;
    ret->id = (uint16_t)get16(m);
    ret->flags = (uint16_t)get16(m + 2);
    for (size_t i = 0; i < 4; i++)
        ret->counts[i] = (uint16_t)get16(m + 4 + 2 * i);
    return 0;
}

static bool plain(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '*';
}

static void add_label(const unsigned char *label, size_t n, char ret[DNS_NAME_TEXT], size_t *out)
{
    if (*out)
        ret[(*out)++] = '.';
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)(label[i] >= 'A' && label[i] <= 'Z' ? label[i] + 32 : label[i]);
        if (plain(c))
            ret[(*out)++] = (char)c;
        else
            *out += (size_t)snprintf(ret + *out, 5, "\\%03u", c);
    }
}

/* Pointers go only backwards, to before where the name (or the last pointer) led, so that the walk ends. */
int dns_read_name(const unsigned char *m, size_t len, size_t *at, char ret[DNS_NAME_TEXT])
{
    size_t p = *at, out = 0, total = 1, limit = *at;
    bool jumped = false;
    for (;;) {
        if (p >= len)
            return -EBADMSG;
        size_t n = m[p];
        if (n >= 0xc0) {
            if (p + 2 > len)
                return -EBADMSG;
            size_t to = get16(m + p) & 0x3fff;
            if (!jumped)
                *at = p + 2;
            jumped = true;
            if (to >= limit)
                return -EBADMSG;
            limit = p = to;
            continue;
        }
        total += n + 1;
        if (n > LABEL_BYTES || p + 1 + n > len || total > NAME_BYTES + 1)
            return -EBADMSG;
        if (n == 0)
            break;
        add_label(m + p + 1, n, ret, &out);
        p += n + 1;
    }
    ret[out] = '\0';
    if (!jumped)
        *at = p + 1;
    return 0;
}

int dns_read_question(const unsigned char *m, size_t len, size_t *at, char ret[DNS_NAME_TEXT], uint16_t *ret_type)
{
    if (dns_read_name(m, len, at, ret) < 0 || len - *at < 4)
        return -EBADMSG;
    *ret_type = (uint16_t)get16(m + *at);
    *at += 4;
    return 0;
}

int dns_read_record(const unsigned char *m, size_t len, size_t *at, struct dns_record *ret)
{
    size_t p = *at;
    ret->start = p;
    if (dns_read_name(m, len, &p, ret->name) < 0 || len - p < 10)
        return -EBADMSG;
    ret->type = (uint16_t)get16(m + p);
    ret->class = (uint16_t)get16(m + p + 2);
    ret->ttl = (uint32_t)get16(m + p + 4) << 16 | get16(m + p + 6);
    ret->len = get16(m + p + 8);
    ret->data = p + 10;
    if (ret->len > len - ret->data)
        return -EBADMSG;
    *at = ret->data + ret->len;
    return 0;
}

static int read_text(const unsigned char *p, size_t len, char ret[DNS_VALUE_TEXT])
{
    size_t out = 0;
    for (size_t i = 0; i < len;) {
        size_t n = p[i++];
        if (n > len - i)
            return -EBADMSG;
        for (; n > 0; n--, i++) {
            if (out + 5 > DNS_VALUE_TEXT)
                return -ENOTSUP;
            if (p[i] >= ' ' && p[i] < 127 && p[i] != '\\')
                ret[out++] = (char)p[i];
            else
                out += (size_t)snprintf(ret + out, 5, "\\%03u", p[i]);
        }
    }
    ret[out] = '\0';
    return 0;
}

int dns_read_value(const unsigned char *m, size_t len, const struct dns_record *r, char ret[DNS_VALUE_TEXT])
{
    size_t at = r->data;
    if (r->data > len || r->len > len - r->data)
        return -EBADMSG;
    switch (r->type) {
    case DNS_A:
    case DNS_AAAA:
        if (r->len != (r->type == DNS_A ? 4 : 16))
            return -EBADMSG;
        return inet_ntop(r->type == DNS_A ? AF_INET : AF_INET6, m + at, ret, DNS_VALUE_TEXT) ? 0 : -EBADMSG;
    case DNS_CNAME:
        return dns_read_name(m, len, &at, ret) < 0 || at != r->data + r->len ? -EBADMSG : 0;
    case DNS_TXT:
        return read_text(m + at, r->len, ret);
    default:
        return -ENOTSUP;
    }
}

/* ---- writing ---- */

void dns_add16(struct buf *b, unsigned v)
{
    unsigned char p[2] = {(unsigned char)(v >> 8), (unsigned char)v};
    buf_add(b, p, sizeof(p));
}

void dns_add32(struct buf *b, uint32_t v)
{
    dns_add16(b, v >> 16);
    dns_add16(b, v & 0xffff);
}

void dns_add_head(struct buf *b, uint16_t id, enum dns_opcode opcode, const uint16_t counts[4])
{
    dns_add16(b, id);
    dns_add16(b, (unsigned)opcode << 11);
    for (size_t i = 0; i < 4; i++)
        dns_add16(b, counts[i]);
}

bool dns_name_valid(const char *name)
{
    size_t label = 0, len = strlen(name);
    if (!len || len > NAME_BYTES - 2)
        return false;
    for (const char *p = name;; p++) {
        if (*p && *p != '.') {
            if (!plain((unsigned char)*p) || (*p == '*' && (p != name || (p[1] && p[1] != '.'))) ||
                ++label > LABEL_BYTES)
                return false;
            continue;
        }
        if (!label)
            return false;
        label = 0;
        if (!*p)
            return true;
    }
}

bool dns_name_within(const char *name, const char *zone)
{
    size_t n = strlen(name), z = strlen(zone);
    return n >= z && !strcmp(name + n - z, zone) && (n == z || name[n - z - 1] == '.');
}

int dns_add_name(struct buf *b, const char *name, struct err *err)
{
    if (!dns_name_valid(name))
        return err_set(err, -EINVAL, "\"%.255s\" is no DNS name", name);
    while (*name) {
        size_t n = strcspn(name, ".");
        buf_addc(b, (char)n);
        buf_add(b, name, n);
        name += n + (name[n] == '.');
    }
    buf_addc(b, '\0');
    return 0;
}

int dns_add_question(struct buf *b, const char *name, unsigned type, struct err *err)
{
    int r = dns_add_name(b, name, err);
    if (r == 0) {
        dns_add16(b, type);
        dns_add16(b, DNS_IN);
    }
    return r;
}

/* One escaped byte or one as it is; -1: a broken escape. */
static int next_byte(const char **p)
{
    if (**p != '\\')
        return (unsigned char)*(*p)++;
    int v = 0;
    for (int i = 1; i <= 3; i++) {
        if (!isdigit((unsigned char)(*p)[i]))
            return -1;
        v = 10 * v + (*p)[i] - '0';
    }
    *p += 4;
    return v > 255 ? -1 : v;
}

static int add_text(struct buf *b, const char *value)
{
    unsigned char piece[255];
    do {
        size_t n = 0;
        while (*value && n < sizeof(piece)) {
            int c = next_byte(&value);
            if (c < 0)
                return -EINVAL;
            piece[n++] = (unsigned char)c;
        }
        buf_addc(b, (char)n);
        buf_add(b, piece, n);
    } while (*value);
    return 0;
}

static int add_value(struct buf *b, unsigned type, const char *value)
{
    unsigned char address[16];
    switch (type) {
    case DNS_A:
    case DNS_AAAA:
        if (inet_pton(type == DNS_A ? AF_INET : AF_INET6, value, address) != 1)
            return -EINVAL;
        buf_add(b, address, type == DNS_A ? 4 : 16);
        return 0;
    case DNS_CNAME:
        return dns_add_name(b, value, NULL);
    case DNS_TXT:
        return strlen(value) < DNS_VALUE_TEXT ? add_text(b, value) : -EINVAL;
    default:
        return -EINVAL;
    }
}

int dns_add_record(struct buf *b, const char *name, unsigned type, unsigned class, uint32_t ttl, const char *value,
                   struct err *err)
{
    autobuf struct buf data = BUF_INIT;
    if (value && add_value(&data, type, value) < 0)
        return err_set(err, -EINVAL, "%s: \"%.100s\" is no value of such a record", name, value);
    int r = dns_add_name(b, name, err);
    if (r < 0)
        return r;
    dns_add16(b, type);
    dns_add16(b, class);
    dns_add32(b, ttl);
    dns_add16(b, (unsigned)data.len);
    buf_add(b, data.data, data.len);
    return 0;
}
